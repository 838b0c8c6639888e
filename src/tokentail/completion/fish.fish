# Completion of tokentail's words for fish. Made by `tokentail completion fish`.

function __tokentail_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -e words[1]
    for line in (command tokentail completion fish .$words ."$current" 2>/dev/null)
        switch $line
            case ':files*' ':folders*'
                set -l option (string match -r -- '^--[^=]+=' "$current")
                set -l begun (string replace -r -- '^--[^=]+=' '' "$current")
                for path in (__tokentail_paths $line "$begun")
                    printf '%s%s\n' "$option" $path
                end
            case '*'
                printf '%s\n' $line
        end
    end
end

function __tokentail_paths
    if string match -q ':folders*' -- $argv[1]
        __fish_complete_directories "$argv[2]" ''
    else
        __fish_complete_path "$argv[2]" ''
    end
end

complete -c tokentail -f -a '(__tokentail_complete)'
