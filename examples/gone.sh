#!/bin/bash
# Ids of the volumes of DATASET, of any collection, that came from a file in FOLDER that is there
# no more, as far as its path is text; each ends in NUL, for `vol-rm -0 -f -T -`. FOLDER is named as nifti-cat got it, and this
# runs where that ran.
set -eo pipefail

dataset=${1:?DATASET} folder=${2:?FOLDER}
vol-ls --tsv "$dataset" | tail -n +2 | cut -f 1 |
    while IFS= read -r collection; do vol-ls --json "$dataset" "$collection" || exit; done |
    jq -j --arg folder "${folder%/}/" 'select(.source.path // "" | startswith($folder)
            and (contains("\ufffd") | not))
        | .source.path, "\u0000", .obs_id, "\u0000"' |
    while IFS= read -r -d '' path && IFS= read -r -d '' id; do
        [ -e "$path" ] || printf '%s\0' "$id"
    done
