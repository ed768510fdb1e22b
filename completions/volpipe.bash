# Completions of volpipe(7) for bash 4.4 or later.
#
# `make install` puts this where bash-completion looks, once for each tool. Without bash-completion,
# source it.
#
# What is offered comes from datasets and folders of strangers: it is quoted here, and nothing of it
# is ever evaluated.

# shellcheck shell=bash

# Sets `operands` and `options` of the tool $1: what each operand is, `+` behind the one that takes
# all further ones; of each option its names, `*` before them if it may be repeated, and what each
# of its values is.
#
# BEGIN TABLE, written by scripts/completions
_volpipe_table() {
    case $1 in
        nifti-cat)
            operands=('.nii,.nii.gz,.nii.zst,.hdr,.hdr.gz,.hdr.zst,.img,.img.gz,.img.zst+')
            options=(
                '*--attr:value'
                '*--exclude:value'
                '-T,--files-from:file'
                '-h,--help'
                '-j,--jobs:value'
                '-k,--keep-going'
                '*--missing:value'
                '-0,--null'
                --path-base:folder
                --path-column:value
                '-q,--quiet'
                --sidecar
                '--stdin-name:.nii,.nii.gz,.nii.zst,.hdr,.hdr.gz,.hdr.zst,.img,.img.gz,.img.zst'
                --strict
                --subject-from:value
                '--table:.tsv,.csv'
                '-v,--verbose'
                --version
            ) ;;
        npy-cat)
            operands=('.npy,.npz+')
            options=(
                --affine:value
                --array:value
                '--as:int8|int16|int32|int64|uint8|uint16|uint32|uint64|float32|float64'
                '*--attr:value'
                '-h,--help'
                '-k,--keep-going'
                --like:dataset@
                '-q,--quiet'
                --spacing:value
                --version
                --zyx
            ) ;;
        frame-filter)
            operands=(value)
            options=(
                '-h,--help'
                '-T,--ids-from:file'
                '-v,--invert'
                '-0,--null'
                --version
            ) ;;
        vol-write)
            operands=(dataset collection)
            options=(
                '-c,--chunk:auto|isotropic|axial|coronal|sagittal'
                '-h,--help'
                '-j,--jobs:value'
                '-k,--keep-going'
                '-l,--level:1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19'
                --no-shuffle
                --obs-id:value
                --pack-size:value
                '-q,--quiet'
                --replace
                --skip-existing
                --version
            ) ;;
        vol-commit)
            operands=(dataset stage+)
            options=(
                --expect:snapshot
                '-h,--help'
                --if-staged
                '*--meta:value'
                --meta-json:.json
                '-q,--quiet'
                --strict
                --version
            ) ;;
        vol-meta)
            operands=(dataset@)
            options=(
                --csv
                --csv-safe
                --expect:snapshot
                '-h,--help'
                --json
                --key:value
                '*--missing:value'
                '-q,--quiet'
                --replace
                --tsv
                --version
            ) ;;
        vol-ls)
            operands=(dataset@ collection obs-id+)
            options=(
                --align
                --diff:snapshot:snapshot
                --expect:snapshot
                '-h,--help'
                --json
                --location:folder
                --manifest
                --refs
                --sha256
                --snapshots
                --staged
                --subjects
                --tsv
                --version
            ) ;;
        vol-cat)
            operands=(dataset@ collection obs-id+)
            options=(
                --axial:value
                --batch
                --coronal:value
                --expect:snapshot
                '-h,--help'
                '-j,--jobs:value'
                '-k,--keep-going'
                --nifti
                --npy
                '-q,--quiet'
                --raw
                --roi:value
                --sagittal:value
                --time:value
                --version
            ) ;;
        vol-export)
            operands=(dataset@ collection obs-id+)
            options=(
                --bids
                --expect:snapshot
                '-f,--force'
                '-z,--gzip:1|2|3|4|5|6|7|8|9'
                '-h,--help'
                '-j,--jobs:value'
                --nifti:folder
                '-q,--quiet'
                --version
                --zarr:folder
            ) ;;
        vol-rm)
            operands=(dataset obs-id+)
            options=(
                '-n,--dry-run'
                --expect:snapshot
                '-T,--files-from:file'
                '-f,--force'
                '-h,--help'
                '*--meta:value'
                '-0,--null'
                '-q,--quiet'
                --stage
                --version
            ) ;;
        vol-gc)
            operands=(dataset)
            options=(
                '-n,--dry-run'
                --grace:value
                '-h,--help'
                --keep-last:value
                --keep-within:value
                '-q,--quiet'
                '-v,--verbose'
                --version
            ) ;;
        vol-verify)
            operands=(dataset@)
            options=(
                --expect:snapshot
                --full
                '-h,--help'
                '-j,--jobs:value'
                --json
                --quick
                '-q,--quiet'
                --repair-from:dataset
                --version
            ) ;;
        nifti-write)
            operands=()
            options=(
                '-f,--force'
                '-z,--gzip:1|2|3|4|5|6|7|8|9'
                '-h,--help'
                --name:value
                '-o,--output:folder'
                '-q,--quiet'
                --version
            ) ;;
        *) return 1 ;;
    esac
}
# END TABLE

# Splits the line $1 as bash would: `words` are those before the cursor; `word` is the one at it and
# `raw` the same as typed; `quote` is the quote that is open there, `target` says that a redirection
# goes to it, and `unknown` that nobody can tell what it will be. Commands in it are not run.
_volpipe_split() {
    local text=$1 char begun="" i=0
    words=() word="" raw="" quote="" target="" unknown=""
    while [[ $i -lt ${#text} ]]; do
        char=${text:i:1}
        case $quote$char in
            [[:space:]] | [\<\>\&\|\;\(\)])
                # The number of a descriptor is no word.
                if [[ -n $begun && ! ($char == [\<\>] && $raw =~ ^[0-9]+$) && -z $target ]]; then
                    words+=("$word")
                fi
                [[ -n $begun && $char == [[:space:]] ]] && target=""
                [[ $char == [\<\>] ]] && target=yes
                word="" raw="" begun="" unknown=""
                i=$((i + 1))
                continue
                ;;
            \' | \") quote=$char ;;
            \'\' | \"\") quote="" ;;
            \\ | \"\\)
                i=$((i + 1))
                if [[ -n $quote && ${text:i:1} != [\$\`\"\\] ]]; then word+=\\; fi
                word+=${text:i:1}
                char+=${text:i:1}
                ;;
            \$ | \"\$)
                if [[ ${text:i} =~ ^\$([A-Za-z_][A-Za-z_0-9]*) ||
                    ${text:i} =~ ^\$\{([A-Za-z_][A-Za-z_0-9]*)\} ]]; then
                    char=${BASH_REMATCH[0]}
                    word+=${!BASH_REMATCH[1]-}
                    i=$((i + ${#char} - 1))
                else
                    unknown=yes
                fi
                ;;
            \` | \"\`) unknown=yes ;;
            \~)
                if [[ -z $begun && ${text:i} =~ ^~(/|[[:space:]]|$) ]]; then
                    word+=${HOME-}
                else
                    word+=$char
                fi
                ;;
            *) word+=$char ;;
        esac
        raw+=$char
        begun=yes
        i=$((i + 1))
    done
}

# Sets `entry` to the option $1, if the tool has it.
_volpipe_option() {
    local names
    for entry in "${options[@]}"; do
        names=${entry%%:*}
        [[ ,${names#\*}, == *",$1,"* ]] && return
    done
    entry=""
    return 1
}

# Prints the first column of a list of vol-ls, of 5,000 lines at the most; nothing if vol-ls fails
# or is slow.
_volpipe_ask() {
    timeout 2 vol-ls --tsv "$@" < /dev/null 2> /dev/null |
        LC_ALL=C command sed -n -e 1d -e 's/\t.*//p' -e 5001q
}

# Sets `dataset` to the one that the line names, if it is there; nothing else is asked about.
_volpipe_dataset() {
    dataset=${given[0]-}
    [[ -n $dataset && (-d $dataset || -d ${dataset%@*}) ]]
}

# Prints what stands for the kind $1 and begins with $2, each with NUL at its end.
_volpipe_candidates() (
    kind=$1 start=$2 dataset="" found=()
    # As the user's shell may have it otherwise; this is a subshell.
    set +f +u
    shopt -s nullglob
    shopt -u failglob nocaseglob nocasematch
    unset GLOBIGNORE
    case $kind in
        collection) _volpipe_dataset && mapfile -t found < <(_volpipe_ask -- "$dataset") ;;
        stage) _volpipe_dataset && mapfile -t found < <(_volpipe_ask --staged -- "$dataset") ;;
        snapshot) _volpipe_dataset &&
            mapfile -t found < <(_volpipe_ask --snapshots -- "${dataset%@*}") ;;
        obs-id)
            _volpipe_dataset || return
            if [[ ${operands[1]} == collection ]]; then
                collections=("${given[1]}")
            else
                mapfile -t collections < <(_volpipe_ask -- "$dataset")
            fi
            for collection in "${collections[@]}"; do
                mapfile -t more < <(_volpipe_ask -- "$dataset" "$collection")
                # A dataset that does not answer is not asked again; a long list is no help.
                [[ ${#more[@]} -gt 0 ]] || break
                found+=("${more[@]}")
                [[ ${#found[@]} -lt 5000 ]] || return
            done
            ;;
        dataset*)
            if [[ $kind == dataset@ && $start =~ ^(.+)@[0-9]*$ && -d ${BASH_REMATCH[1]} ]]; then
                dataset=${BASH_REMATCH[1]}
                mapfile -t found < <(_volpipe_ask --snapshots -- "$dataset")
                found=("${found[@]/#/"$dataset@"}")
            else
                for path in "$start"*/; do
                    if [[ -e ${path}volpipe.json ]]; then path=${path%/}; fi
                    found+=("$path")
                done
            fi
            ;;
        folder) found=("$start"*/) ;;
        file | .*)
            files=()
            for path in "$start"*; do
                if [[ -d $path ]]; then found+=("$path/"); else files+=("$path"); fi
            done
            [[ $kind == file ]] && found+=("${files[@]}")
            IFS=, read -r -a endings <<< "$kind"
            for path in "${files[@]}"; do
                for ending in "${endings[@]}"; do
                    [[ ${path,,} == *"$ending" ]] && found+=("$path") && break
                done
            done
            [[ ${#found[@]} -gt 0 ]] || found=("${files[@]}")
            ;;
        *\|*) IFS=\| read -r -a found <<< "$kind" ;;
    esac
    for one in "${found[@]}"; do
        [[ $one == "$start"* ]] && printf '%s\0' "$one"
    done
)

# Sets `quoted` to $1, as it may follow the quote that is open.
_volpipe_quote() {
    quoted=$1
    case $quote in
        \') quoted=${quoted//\'/"'\''"} ;;
        \")
            quoted=${quoted//\\/"\\\\"}
            quoted=${quoted//\"/'\"'}
            quoted=${quoted//\$/'\$'}
            quoted=${quoted//\`/'\`'}
            # No backslash keeps `!` from bash's history within double quotes.
            quoted=${quoted//\!/'"\!"'}
            ;;
        *) if [[ -n $quoted ]]; then printf -v quoted %q "$quoted"; fi ;;
    esac
}

_volpipe() {
    local operands options words word raw quote target unknown entry name names one kind quoted
    local given=() kinds=() found=() seen="," ended="" lead="" kept="" value typed open head named i
    COMPREPLY=()
    _volpipe_table "${1##*/}" || return 0
    _volpipe_split "${COMP_LINE:0:COMP_POINT}"
    [[ -z $unknown ]] || return 0

    for one in "${words[@]:1}"; do
        if [[ ${#kinds[@]} -gt 0 ]]; then
            kinds=("${kinds[@]:1}")
        elif [[ -n $ended || $one != -?* ]]; then
            given+=("$one")
        elif [[ $one == -- ]]; then
            ended=yes
        else
            # Short ones may stand together; the last may take values.
            names=("${one%%=*}")
            if [[ $one != --* ]]; then
                names=()
                for ((i = 1; i < ${#one}; i++)); do names+=("-${one:i:1}"); done
            fi
            for name in "${names[@]}"; do
                _volpipe_option "$name" || continue
                [[ $entry == \** ]] || seen+=${entry%%:*},
            done
            if [[ -n $entry && $entry == *:* && $one != *=* ]]; then
                IFS=: read -r -a kinds <<< "${entry#*:}"
            fi
        fi
    done

    value=$word
    if [[ -n $target ]]; then
        kind="file"
    elif [[ ${#kinds[@]} -gt 0 ]]; then
        kind=${kinds[0]}
    elif [[ -z $ended && $word == --*=* ]]; then
        _volpipe_option "${word%%=*}" || return 0
        [[ $entry == *:* ]] || return 0
        kind=${entry#*:} lead=${word%%=*}= value=${word#*=}
    elif [[ -z $ended && $word == -* ]]; then
        kind=option
    elif [[ ${#given[@]} -lt ${#operands[@]} ]]; then
        kind=${operands[${#given[@]}]}
    elif [[ ${#operands[@]} -gt 0 && ${operands[-1]} == *+ ]]; then
        kind=${operands[-1]}
    else
        kind=option
    fi
    kind=${kind%+}
    if [[ $kind == option && -z $ended ]]; then
        for entry in "${options[@]}"; do
            one=${entry%%:*}
            [[ $seen == *",$one,"* ]] && continue
            IFS=, read -r -a names <<< "${one#\*}"
            for name in "${names[@]}"; do [[ $name == "$word"* ]] && found+=("$name"); done
        done
    else
        mapfile -d "" -t found < <(_volpipe_candidates "$kind" "$value")
    fi

    # Readline replaces $2, which begins behind a quote that is open, or at one of COMP_WORDBREAKS.
    # Of that, a folder stays as it was typed, with its quotes and variables.
    typed=$2 open=$quote
    [[ $raw == *"$typed" ]] || return 0
    head=${raw%"$typed"}
    if [[ $kind == @(file|folder|.*|dataset*) ]]; then
        [[ $typed == */* ]] && kept=${typed%/*}/
    fi
    _volpipe_split "$head$kept"
    if [[ $quote != "$open" ]]; then
        kept=""
        _volpipe_split "$head"
    fi
    named=$'\n'
    for one in "${given[@]:1}"; do named+=$one$'\n'; done
    for one in "${found[@]}"; do
        if [[ $kind == @(obs-id|stage) ]]; then
            # What begins with '-' would be an option.
            [[ $one == -* && -z $ended ]] && continue
            [[ $named == *$'\n'"$one"$'\n'* ]] && continue
        fi
        quote=$open
        _volpipe_quote "${one:$((${#word} - ${#lead}))}"
        COMPREPLY+=("$kept$quoted")
    done
    if [[ ${#found[@]} -eq 1 && ${found[0]} == */ ]]; then
        compopt -o nospace -o filenames -o noquote
    elif [[ ${#found[@]} -gt 1 && $kind == @(file|folder|.*|dataset*) ]]; then
        # A list is of last components, and marks folders by itself.
        compopt -o filenames -o noquote
        COMPREPLY=("${COMPREPLY[@]%/}")
    fi
    return 0
}

complete -F _volpipe frame-filter nifti-cat nifti-write npy-cat vol-cat vol-commit vol-export \
    vol-gc vol-ls vol-meta vol-rm vol-verify vol-write
