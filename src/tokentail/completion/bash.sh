# Completion of tokentail's words for bash. Made by `tokentail completion bash`.

_tokentail() {
    local current=${COMP_WORDS[COMP_CWORD]} word help
    local -a words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=()
    # What is completed after a = is an empty word.
    [[ $current == = ]] && current=
    while IFS=$'\t' read -r word help; do
        case $word in
            :files) _tokentail_paths -f "$current" ;;
            :folders) _tokentail_paths -d "$current" ;;
            *) COMPREPLY+=("$word") ;;
        esac
    done < <(command tokentail completion bash "${words[@]/#/.}" 2>/dev/null)
}

_tokentail_paths() {
    local path
    # Quotes what has to be quoted, and puts a / behind folders.
    compopt -o filenames 2>/dev/null
    while IFS= read -r path; do
        COMPREPLY+=("$path")
    done < <(compgen "$1" -- "$2")
}

complete -F _tokentail tokentail
