#compdef tokentail
# Completion of tokentail's words for zsh. Made by `tokentail completion zsh`.

_tokentail() {
    local line word
    local -a found=() shown=()
    for line in "${(@f)$(command tokentail completion zsh ".${(@Q)^words[2,CURRENT]}" 2>/dev/null)}"; do
        word=${line%%$'\t'*}
        case $word in
            '') ;;
            :files) compset -P '*='; _files ;;
            :folders) compset -P '*='; _files -/ ;;
            *)
                found+=("$word")
                shown+=("${word}${${line#*$'\t'}:+  -- ${line#*$'\t'}}")
                ;;
        esac
    done
    (( $#found )) && compadd -V tokentail -l -d shown -a found
}

# Autoloaded it is this function; sourced it has to be told of.
if [[ $funcstack[1] == _tokentail ]]; then
    _tokentail "$@"
else
    compdef _tokentail tokentail
fi
