# Completions of volpipe(7) for fish 3.4 or later.
#
# `make install` puts this where fish looks, once for each tool. Or source it.
#
# What is offered comes from datasets and folders of strangers: fish quotes it, and nothing of it is
# ever evaluated.

# BEGIN TABLE, written by scripts/completions
function __volpipe_table --no-scope-shadowing
    switch $argv[1]
        case nifti-cat
            set operands '.nii,.nii.gz,.nii.zst,.hdr,.hdr.gz,.hdr.zst,.img,.img.gz,.img.zst+'
            set valued '--attr=value' '--exclude=value' '-T=file' '--files-from=file' '-j=value' '--jobs=value' '--missing=value' '--path-base=folder' '--path-column=value' '--stdin-name=.nii,.nii.gz,.nii.zst,.hdr,.hdr.gz,.hdr.zst,.img,.img.gz,.img.zst' '--subject-from=value' '--table=.tsv,.csv'
        case npy-cat
            set operands '.npy,.npz+'
            set valued '--affine=value' '--array=value' '--as=int8|int16|int32|int64|uint8|uint16|uint32|uint64|float32|float64' '--attr=value' '--like=dataset@' '--spacing=value'
        case frame-filter
            set operands 'value'
            set valued '-T=file' '--ids-from=file'
        case vol-write
            set operands 'dataset' 'collection'
            set valued '-c=auto|isotropic|axial|coronal|sagittal' '--chunk=auto|isotropic|axial|coronal|sagittal' '-j=value' '--jobs=value' '-l=1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19' '--level=1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19' '--obs-id=value' '--pack-size=value'
        case vol-commit
            set operands 'dataset' 'stage+'
            set valued '--expect=snapshot' '--meta=value' '--meta-json=.json'
        case vol-meta
            set operands 'dataset@'
            set valued '--expect=snapshot' '--key=value' '--missing=value'
        case vol-ls
            set operands 'dataset@' 'collection' 'obs-id+'
            set valued '--diff=snapshot:snapshot' '--expect=snapshot' '--location=folder'
        case vol-cat
            set operands 'dataset@' 'collection' 'obs-id+'
            set valued '--axial=value' '--coronal=value' '--expect=snapshot' '-j=value' '--jobs=value' '--roi=value' '--sagittal=value' '--time=value'
        case vol-export
            set operands 'dataset@' 'collection' 'obs-id+'
            set valued '--expect=snapshot' '-z=1|2|3|4|5|6|7|8|9' '--gzip=1|2|3|4|5|6|7|8|9' '-j=value' '--jobs=value' '--nifti=folder' '--zarr=folder'
        case vol-rm
            set operands 'dataset' 'obs-id+'
            set valued '--expect=snapshot' '-T=file' '--files-from=file' '--meta=value'
        case vol-gc
            set operands 'dataset'
            set valued '--grace=value' '--keep-last=value' '--keep-within=value'
        case vol-verify
            set operands 'dataset@'
            set valued '--expect=snapshot' '-j=value' '--jobs=value' '--repair-from=dataset'
        case nifti-write
            set operands
            set valued '-z=1|2|3|4|5|6|7|8|9' '--gzip=1|2|3|4|5|6|7|8|9' '--name=value' '-o=folder' '--output=folder'
    end
end

function __volpipe_options
    switch $argv[1]
        case nifti-cat
            complete -c $argv[1] -l attr -d 'Give every volume an attribute; repeatable' -x
            complete -c $argv[1] -l exclude -d 'Leave out files and folders of folders that GLOB matches, as in .gitignore; repeatable' -x
            complete -c $argv[1] -s T -l files-from -d 'Read paths from FILE, one a line; - for standard input' -n "__volpipe_lacks $argv[1] -s T files-from" -x -k -a "(__volpipe_candidates $argv[1] 'file')"
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -s j -l jobs -d 'Use N threads; the output does not depend on it' -n "__volpipe_lacks $argv[1] -s j jobs" -x
            complete -c $argv[1] -s k -l keep-going -d 'Report a bad file, go on with the next, and exit 1' -n "__volpipe_lacks $argv[1] -s k keep-going"
            complete -c $argv[1] -l missing -d 'Take TOKEN in a table for no value, as an empty field and n/a are; repeatable' -x
            complete -c $argv[1] -s 0 -l null -d 'Paths in FILE end in NUL' -n "__volpipe_lacks $argv[1] -s 0 null"
            complete -c $argv[1] -l path-base -d 'The folder that relative paths in --table begin at' -n "__volpipe_lacks $argv[1] path-base" -x -k -a "(__volpipe_candidates $argv[1] 'folder')"
            complete -c $argv[1] -l path-column -d 'The column of --table that names the files' -n "__volpipe_lacks $argv[1] path-column" -x
            complete -c $argv[1] -s q -l quiet -d 'Show no progress, no warnings and no count at the end' -n "__volpipe_lacks $argv[1] -s q quiet"
            complete -c $argv[1] -l sidecar -d 'Attach the JSON file beside a volume\'s, if there is one, as attribute sidecar' -n "__volpipe_lacks $argv[1] sidecar"
            complete -c $argv[1] -l stdin-name -d 'Take standard input for the file PATH: its name, its subject, its folders' -n "__volpipe_lacks $argv[1] stdin-name" -x -k -a "(__volpipe_candidates $argv[1] '.nii,.nii.gz,.nii.zst,.hdr,.hdr.gz,.hdr.zst,.img,.img.gz,.img.zst')"
            complete -c $argv[1] -l strict -d 'Refuse a file at which a warning would be due' -n "__volpipe_lacks $argv[1] strict"
            complete -c $argv[1] -l subject-from -d 'Take the subject from the group of REGEX in the path, attributes from groups with names' -n "__volpipe_lacks $argv[1] subject-from" -x
            complete -c $argv[1] -l table -d 'Read the files in column path of FILE, a TSV or CSV; its other columns describe them' -n "__volpipe_lacks $argv[1] table" -x -k -a "(__volpipe_candidates $argv[1] '.tsv,.csv')"
            complete -c $argv[1] -s v -l verbose -d 'Name each file as it is read; count even one' -n "__volpipe_lacks $argv[1] -s v verbose"
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
        case npy-cat
            complete -c $argv[1] -l affine -d 'Voxel index to RAS+ mm: 12 or 16 numbers, row by row, commas between' -n "__volpipe_lacks $argv[1] affine" -x
            complete -c $argv[1] -l array -d 'Of an archive, read the array NAME only' -n "__volpipe_lacks $argv[1] array" -x
            complete -c $argv[1] -l as -d 'Make values of TYPE, such as uint8 or float32; one that it cannot hold is an error' -n "__volpipe_lacks $argv[1] as" -x -k -a "(__volpipe_candidates $argv[1] 'int8|int16|int32|int64|uint8|uint16|uint32|uint64|float32|float64')"
            complete -c $argv[1] -l attr -d 'Give every volume an attribute; repeatable' -x
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -s k -l keep-going -d 'Report a bad file, go on with the next, and exit 1' -n "__volpipe_lacks $argv[1] -s k keep-going"
            complete -c $argv[1] -l like -d 'Take affine, spacing and subject from the volume of the same name in DATASET; the first operand is its collection' -n "__volpipe_lacks $argv[1] like" -x -k -a "(__volpipe_candidates $argv[1] 'dataset@')"
            complete -c $argv[1] -s q -l quiet -d 'Show no progress' -n "__volpipe_lacks $argv[1] -s q quiet"
            complete -c $argv[1] -l spacing -d 'Voxel spacing in mm along X, Y and Z, in place of an affine' -n "__volpipe_lacks $argv[1] spacing" -x
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
            complete -c $argv[1] -l zyx -d 'The axes are Z, Y, X: the last one is X' -n "__volpipe_lacks $argv[1] zyx"
        case frame-filter
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -s T -l ids-from -d 'Pass on the volumes whose ids are in FILE, one a line' -n "__volpipe_lacks $argv[1] -s T ids-from" -x -k -a "(__volpipe_candidates $argv[1] 'file')"
            complete -c $argv[1] -s v -l invert -d 'Pass on the others' -n "__volpipe_lacks $argv[1] -s v invert"
            complete -c $argv[1] -s 0 -l null -d 'Ids in FILE end in NUL' -n "__volpipe_lacks $argv[1] -s 0 null"
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
        case vol-write
            complete -c $argv[1] -s c -l chunk -d 'Chunk shape: X,Y,Z[,T], isotropic, axial, coronal, sagittal or auto' -n "__volpipe_lacks $argv[1] -s c chunk" -x -k -a "(__volpipe_candidates $argv[1] 'auto|isotropic|axial|coronal|sagittal')"
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -s j -l jobs -d 'Use N threads; the output does not depend on it' -n "__volpipe_lacks $argv[1] -s j jobs" -x
            complete -c $argv[1] -s k -l keep-going -d 'Leave out and report a volume that cannot come in, stage the others, and exit 1' -n "__volpipe_lacks $argv[1] -s k keep-going"
            complete -c $argv[1] -s l -l level -d 'Zstandard level, 1 to 19' -n "__volpipe_lacks $argv[1] -s l level" -x -k -a "(__volpipe_candidates $argv[1] '1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19')"
            complete -c $argv[1] -l no-shuffle -d 'Do not shuffle bytes before compression' -n "__volpipe_lacks $argv[1] no-shuffle"
            complete -c $argv[1] -l obs-id -d 'Make ids from {name}, {obs_id}, {subject}, {collection}, {path}, {folder}, {folder.2} and {attrs.KEY}, for short {KEY}' -n "__volpipe_lacks $argv[1] obs-id" -x
            complete -c $argv[1] -l pack-size -d 'Begin a new pack after SIZE bytes; K, M, G and T are powers of 1024' -n "__volpipe_lacks $argv[1] pack-size" -x
            complete -c $argv[1] -s q -l quiet -d 'Show no progress, and no count of volumes left out' -n "__volpipe_lacks $argv[1] -s q quiet"
            complete -c $argv[1] -l replace -d 'Leave out volumes that the dataset holds already; one that differs replaces it' -n "__volpipe_lacks $argv[1] replace"
            complete -c $argv[1] -l skip-existing -d 'Leave out volumes that the dataset holds already; one that differs is an error' -n "__volpipe_lacks $argv[1] skip-existing"
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
        case vol-commit
            complete -c $argv[1] -l expect -d 'Commit only if N is the current snapshot, 0 if there is none; else exit 75' -n "__volpipe_lacks $argv[1] expect" -x -k -a "(__volpipe_candidates $argv[1] 'snapshot')"
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -l if-staged -d 'With nothing to commit, print the current snapshot\'s number and exit 0' -n "__volpipe_lacks $argv[1] if-staged"
            complete -c $argv[1] -l meta -d 'Add text to the snapshot\'s metadata; repeatable' -x
            complete -c $argv[1] -l meta-json -d 'Take the snapshot\'s metadata from a JSON object in FILE, - for standard input' -n "__volpipe_lacks $argv[1] meta-json" -x -k -a "(__volpipe_candidates $argv[1] '.json')"
            complete -c $argv[1] -s q -l quiet -d 'Do not print the snapshot\'s number and digest' -n "__volpipe_lacks $argv[1] -s q quiet"
            complete -c $argv[1] -l strict -d 'Refuse volumes without a subject row, and subjects without volumes' -n "__volpipe_lacks $argv[1] strict"
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
        case vol-meta
            complete -c $argv[1] -l csv -d 'Print fields separated by commas, nothing for what is not known' -n "__volpipe_lacks $argv[1] csv"
            complete -c $argv[1] -l csv-safe -d 'With --csv, put an apostrophe before what a spreadsheet would take for a formula' -n "__volpipe_lacks $argv[1] csv-safe"
            complete -c $argv[1] -l expect -d 'Go on only if snapshot N is there, with this digest, and what is read is it or follows it' -n "__volpipe_lacks $argv[1] expect" -x -k -a "(__volpipe_candidates $argv[1] 'snapshot')"
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -l json -d 'Print JSON, one object a line' -n "__volpipe_lacks $argv[1] json"
            complete -c $argv[1] -l key -d 'The column of the subject' -n "__volpipe_lacks $argv[1] key" -x
            complete -c $argv[1] -l missing -d 'Take TOKEN in a table for no value, as an empty field and n/a are; repeatable' -x
            complete -c $argv[1] -s q -l quiet -d 'Do not print the id of the stage' -n "__volpipe_lacks $argv[1] -s q quiet"
            complete -c $argv[1] -l replace -d 'Start over; do not merge with the table before' -n "__volpipe_lacks $argv[1] replace"
            complete -c $argv[1] -l tsv -d 'Print fields separated by tabs, n/a for what is not known' -n "__volpipe_lacks $argv[1] tsv"
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
        case vol-ls
            complete -c $argv[1] -l align -d 'List which subjects are missing from which collection' -n "__volpipe_lacks $argv[1] align"
            complete -c $argv[1] -l diff -d 'List volumes that differ between two snapshots' -n "__volpipe_lacks $argv[1] diff" -x -k -a "(__volpipe_candidates $argv[1] 'snapshot')"
            complete -c $argv[1] -l expect -d 'Go on only if snapshot N is there, with this digest, and what is read is it or follows it' -n "__volpipe_lacks $argv[1] expect" -x -k -a "(__volpipe_candidates $argv[1] 'snapshot')"
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -l json -d 'Write JSON, one object a line' -n "__volpipe_lacks $argv[1] json"
            complete -c $argv[1] -l location -d 'With --refs, where the dataset is for its readers' -n "__volpipe_lacks $argv[1] location" -x -k -a "(__volpipe_candidates $argv[1] 'folder')"
            complete -c $argv[1] -l manifest -d 'Write the manifest as it is' -n "__volpipe_lacks $argv[1] manifest"
            complete -c $argv[1] -l refs -d 'Write a kerchunk reference file, for programs that read Zarr' -n "__volpipe_lacks $argv[1] refs"
            complete -c $argv[1] -l sha256 -d 'Write digests of all files, for sha256sum -c run in the dataset' -n "__volpipe_lacks $argv[1] sha256"
            complete -c $argv[1] -l snapshots -d 'List the snapshots' -n "__volpipe_lacks $argv[1] snapshots"
            complete -c $argv[1] -l staged -d 'List finished stages that are not committed' -n "__volpipe_lacks $argv[1] staged"
            complete -c $argv[1] -l subjects -d 'List the subjects, with their volumes in each collection' -n "__volpipe_lacks $argv[1] subjects"
            complete -c $argv[1] -l tsv -d 'Write fields separated by tabs, a line of names first' -n "__volpipe_lacks $argv[1] tsv"
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
        case vol-cat
            complete -c $argv[1] -l axial -d 'Only plane K along Z' -n "__volpipe_lacks $argv[1] axial" -x
            complete -c $argv[1] -l batch -d 'Answer requests on standard input, OBS_ID REGION a line, until it ends' -n "__volpipe_lacks $argv[1] batch"
            complete -c $argv[1] -l coronal -d 'Only plane K along Y' -n "__volpipe_lacks $argv[1] coronal" -x
            complete -c $argv[1] -l expect -d 'Go on only if snapshot N is there, with this digest, and what is read is it or follows it' -n "__volpipe_lacks $argv[1] expect" -x -k -a "(__volpipe_candidates $argv[1] 'snapshot')"
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -s j -l jobs -d 'Use N threads; the output does not depend on it' -n "__volpipe_lacks $argv[1] -s j jobs" -x
            complete -c $argv[1] -s k -l keep-going -d 'Drop a damaged volume, go on with the next, and exit 1' -n "__volpipe_lacks $argv[1] -s k keep-going"
            complete -c $argv[1] -l nifti -d 'Write one volume as a NIfTI file: its source again, if it is whole' -n "__volpipe_lacks $argv[1] nifti"
            complete -c $argv[1] -l npy -d 'Write one volume as a NumPy array file' -n "__volpipe_lacks $argv[1] npy"
            complete -c $argv[1] -s q -l quiet -d 'Show no progress' -n "__volpipe_lacks $argv[1] -s q quiet"
            complete -c $argv[1] -l raw -d 'Write one volume\'s voxels alone, little-endian, X fastest' -n "__volpipe_lacks $argv[1] raw"
            complete -c $argv[1] -l roi -d 'Only these voxels: X0:X1,Y0:Y1,Z0:Z1[,T0:T1], from 0 and each end left out, as in Python' -n "__volpipe_lacks $argv[1] roi" -x
            complete -c $argv[1] -l sagittal -d 'Only plane K along X' -n "__volpipe_lacks $argv[1] sagittal" -x
            complete -c $argv[1] -l time -d 'Only volume K along T' -n "__volpipe_lacks $argv[1] time" -x
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
        case vol-export
            complete -c $argv[1] -l bids -d 'Name the NIfTI files as the Brain Imaging Data Structure does' -n "__volpipe_lacks $argv[1] bids"
            complete -c $argv[1] -l expect -d 'Go on only if snapshot N is there, with this digest, and what is read is it or follows it' -n "__volpipe_lacks $argv[1] expect" -x -k -a "(__volpipe_candidates $argv[1] 'snapshot')"
            complete -c $argv[1] -s f -l force -d 'Replace NIfTI files that exist' -n "__volpipe_lacks $argv[1] -s f force"
            complete -c $argv[1] -s z -l gzip -d 'Compress NIfTI files with gzip at LEVEL, 1 to 9' -n "__volpipe_lacks $argv[1] -s z gzip" -x -k -a "(__volpipe_candidates $argv[1] '1|2|3|4|5|6|7|8|9')"
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -s j -l jobs -d 'Use N threads; the output does not depend on it' -n "__volpipe_lacks $argv[1] -s j jobs" -x
            complete -c $argv[1] -l nifti -d 'Make NIfTI files in COLLECTION/ below DIR' -n "__volpipe_lacks $argv[1] nifti" -x -k -a "(__volpipe_candidates $argv[1] 'folder')"
            complete -c $argv[1] -s q -l quiet -d 'Show no progress' -n "__volpipe_lacks $argv[1] -s q quiet"
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
            complete -c $argv[1] -l zarr -d 'Make a Zarr v3 store, which must not exist yet' -n "__volpipe_lacks $argv[1] zarr" -x -k -a "(__volpipe_candidates $argv[1] 'folder')"
        case vol-rm
            complete -c $argv[1] -s n -l dry-run -d 'Change nothing; print collection and id of what would go' -n "__volpipe_lacks $argv[1] -s n dry-run"
            complete -c $argv[1] -l expect -d 'Go on only if N is the current snapshot; else exit 75' -n "__volpipe_lacks $argv[1] expect" -x -k -a "(__volpipe_candidates $argv[1] 'snapshot')"
            complete -c $argv[1] -s T -l files-from -d 'Read ids from FILE, one a line; - for standard input' -n "__volpipe_lacks $argv[1] -s T files-from" -x -k -a "(__volpipe_candidates $argv[1] 'file')"
            complete -c $argv[1] -s f -l force -d 'Pass over ids that are not there' -n "__volpipe_lacks $argv[1] -s f force"
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -l meta -d 'Add text to the snapshot\'s metadata; repeatable' -x
            complete -c $argv[1] -s 0 -l null -d 'Ids in FILE end in NUL' -n "__volpipe_lacks $argv[1] -s 0 null"
            complete -c $argv[1] -s q -l quiet -d 'Do not print the snapshot\'s number and digest' -n "__volpipe_lacks $argv[1] -s q quiet"
            complete -c $argv[1] -l stage -d 'Give up stages that are not committed; the ids are those of vol-write and vol-meta' -n "__volpipe_lacks $argv[1] stage"
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
        case vol-gc
            complete -c $argv[1] -s n -l dry-run -d 'Remove nothing; list what would be removed' -n "__volpipe_lacks $argv[1] -s n dry-run"
            complete -c $argv[1] -l grace -d 'Leave alone what changed within AGE' -n "__volpipe_lacks $argv[1] grace" -x
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -l keep-last -d 'Keep the last N snapshots' -n "__volpipe_lacks $argv[1] keep-last" -x
            complete -c $argv[1] -l keep-within -d 'Keep the snapshots made within AGE, such as 30d or 12h' -n "__volpipe_lacks $argv[1] keep-within" -x
            complete -c $argv[1] -s q -l quiet -d 'No counts at the end' -n "__volpipe_lacks $argv[1] -s q quiet"
            complete -c $argv[1] -s v -l verbose -d 'List what is removed' -n "__volpipe_lacks $argv[1] -s v verbose"
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
        case vol-verify
            complete -c $argv[1] -l expect -d 'Go on only if snapshot N is there, with this digest, and what is read is it or follows it' -n "__volpipe_lacks $argv[1] expect" -x -k -a "(__volpipe_candidates $argv[1] 'snapshot')"
            complete -c $argv[1] -l full -d 'Check every digest and every chunk too' -n "__volpipe_lacks $argv[1] full"
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -s j -l jobs -d 'Use N threads; the output does not depend on it' -n "__volpipe_lacks $argv[1] -s j jobs" -x
            complete -c $argv[1] -l json -d 'Write JSON, one object a line' -n "__volpipe_lacks $argv[1] json"
            complete -c $argv[1] -l quick -d 'Check manifests, sizes and indexes' -n "__volpipe_lacks $argv[1] quick"
            complete -c $argv[1] -s q -l quiet -d 'Show no progress and no count at the end' -n "__volpipe_lacks $argv[1] -s q quiet"
            complete -c $argv[1] -l repair-from -d 'Take what is missing or damaged from another copy of the dataset first; implies --full' -n "__volpipe_lacks $argv[1] repair-from" -x -k -a "(__volpipe_candidates $argv[1] 'dataset')"
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
        case nifti-write
            complete -c $argv[1] -s f -l force -d 'Replace files that exist' -n "__volpipe_lacks $argv[1] -s f force"
            complete -c $argv[1] -s z -l gzip -d 'Compress with gzip at LEVEL, 1 to 9' -n "__volpipe_lacks $argv[1] -s z gzip" -x -k -a "(__volpipe_candidates $argv[1] '1|2|3|4|5|6|7|8|9')"
            complete -c $argv[1] -s h -l help -d 'Show help information' -n "__volpipe_lacks $argv[1] -s h help"
            complete -c $argv[1] -l name -d 'Name files after {name}, {obs_id}, {subject}, {collection}, {path}, {folder}, {folder.2} and {attrs.KEY}, for short {KEY}' -n "__volpipe_lacks $argv[1] name" -x
            complete -c $argv[1] -s o -l output -d 'Write into DIR, made if need be; - writes one volume to standard output' -n "__volpipe_lacks $argv[1] -s o output" -x -k -a "(__volpipe_candidates $argv[1] 'folder')"
            complete -c $argv[1] -s q -l quiet -d 'Show no progress' -n "__volpipe_lacks $argv[1] -s q quiet"
            complete -c $argv[1] -l version -d 'Show the version' -n "__volpipe_lacks $argv[1] version"
    end
end
# END TABLE

# Everywhere $argv[1] is the tool, as the word in the line may be an alias of it.

# Whether the line lacks an option that may be there once, with the names in $argv[2..], or waits for
# its value.
function __volpipe_lacks
    __volpipe_parse $argv[1]
    set -q pending[1]; or not __fish_contains_opt $argv[2..]
end

# Prints the first column of a list of vol-ls, of 5,000 lines at the most; nothing if vol-ls fails
# or is slow.
function __volpipe_ask
    timeout 2 vol-ls --tsv $argv </dev/null 2>/dev/null |
        LC_ALL=C command sed -n -e 1d -e 's/\t.*//p' -e 5001q
end

# Prints what a word will be, with a variable or ~ at its start. Commands in it are not run.
function __volpipe_value
    if string match -qr '^~(?<rest>/.*)?$' -- $argv[1]
        printf '%s\n' "$HOME$rest"
    else if string match -qr '^\$(?<name>\w+)(?<rest>[/@].*)?$' -- $argv[1]; and set -q $name
        printf '%s\n' "$$name$rest"
    else
        printf '%s\n' $argv[1]
    end
end

# Sets, in the caller, `operands` to what they are, `given` to those before the cursor, `pending` to
# what the option before it waits for, and `ended` if options are over.
function __volpipe_parse --no-scope-shadowing
    set -l words (commandline -opc)
    set -l valued
    set operands
    set given
    set pending
    set ended
    __volpipe_table $argv[1]
    for word in $words[2..]
        if set -q pending[1]
            set -e pending[1]
        else if set -q ended[1]; or not string match -qr '^-.' -- $word
            set -a given $word
        else if test "$word" = --
            set ended yes
        else
            # Short ones may stand together; the last may take values.
            string match -qr '^-[^-]' -- $word; and set word -(string sub -s -1 -- $word)
            for option in $valued
                set option (string split -m 1 = -- $option)
                test "$option[1]" = "$word"; and set pending (string split : -- $option[2])
            end
        end
    end
end

# Prints the dataset that the line names, if it is there; nothing else is asked about.
function __volpipe_dataset
    set -l dataset (__volpipe_value "$argv[1]")
    test -d "$dataset"; or test -d (string replace -r '@[^@]*$' '' -- "$dataset"); or return
    printf '%s\n' $dataset
end

# Prints what is in the folder that the word at the cursor is in, folders with `/` at the end. What
# begins differently than the word fish leaves out, or not, as it likes.
function __volpipe_paths
    set -l folder (string replace -r '[^/]*$' '' -- $argv[1])
    set -l hidden ''
    string match -qr '(^|/)\.[^/]*$' -- $argv[1]; and set hidden .
    set -l start (__volpipe_value $folder)
    set -l skipped (math 1 + (string length -- "$start"))
    for path in $start$hidden*
        set -l typed $folder(string sub -s $skipped -- $path)
        test -d $path; and set typed $typed/
        printf '%s\n' $typed
    end
end

# Prints what stands for the kind $argv[2].
function __volpipe_candidates
    set -l operands
    set -l given
    set -l pending
    set -l ended
    __volpipe_parse $argv[1]
    # The word at the cursor, in which a quote may be open; a value behind `=` is completed alone.
    set -l word (commandline -ct)
    set word (string unescape -- $word; or string unescape -- $word\"; or string unescape -- $word\')
    set word (string replace -r '^--[^=]*=' '' -- "$word")
    switch $argv[2]
        case collection
            set -l dataset (__volpipe_dataset $given[1]); and __volpipe_ask -- $dataset
        case stage
            set -l dataset (__volpipe_dataset $given[1]); or return
            for stage in (__volpipe_ask --staged -- $dataset)
                contains -- $stage $given; or printf '%s\n' $stage
            end
        case snapshot
            set -l dataset (__volpipe_dataset $given[1]); or return
            __volpipe_ask --snapshots -- (string replace -r '@[^@]*$' '' -- $dataset)
        case obs-id
            set -l dataset (__volpipe_dataset $given[1]); or return
            set -l collections $given[2]
            test "$operands[2]" = collection; or set collections (__volpipe_ask -- $dataset)
            set -l ids
            for collection in $collections
                set -l more (__volpipe_ask -- $dataset $collection)
                # A dataset that does not answer is not asked again; a long list is no help.
                set -q more[1]; or break
                set -a ids $more
                test (count $ids) -lt 5000; or return
            end
            for id in $ids
                contains -- $id $given; and continue
                # What begins with '-' would be an option.
                string match -q -- '-*' $id; and not set -q ended[1]; and continue
                printf '%s\n' $id
            end
        case dataset dataset@
            if test $argv[2] = dataset@; and string match -qr '^(?<typed>.+)@[0-9]*$' -- $word
                set -l dataset (__volpipe_value $typed)
                if test -d $dataset
                    for snapshot in (__volpipe_ask --snapshots -- $dataset)
                        printf '%s\tSnapshot\n' $typed@$snapshot
                    end
                    return
                end
            end
            # Datasets first; all other folders too, as one may be below.
            set -l others
            for folder in (__volpipe_paths "$word" | string match '*/')
                if test -e (__volpipe_value $folder)volpipe.json
                    printf '%s\tDataset\n' (string replace -r '/$' '' -- $folder)
                else
                    set -a others $folder
                end
            end
            set -q others[1]; and printf '%s\tFolder\n' $others
        case folder
            __volpipe_paths "$word" | string match '*/'
        case file
            __volpipe_paths "$word"
        case '.*'
            set -l endings (string split , -- $argv[2] | string escape --style=regex)
            set endings (string join '|' -- $endings)
            set -l all (__volpipe_paths "$word")
            set -l wanted (string match -ri -- ".*(?:/|$endings)\$" $all)
            # All files, where no other begins like the word.
            string match -rq -- '^'(string escape --style=regex -- "$word") $wanted
            or set wanted $all
            printf '%s\n' $wanted
        case '*|*'
            string split '|' -- $argv[2]
    end
end

# Prints what stands for the operand at the cursor, or for a second value of an option.
function __volpipe_operand
    set -l operands
    set -l given
    set -l pending
    set -l ended
    __volpipe_parse $argv[1]
    set -l kind $operands[(math 1 + (count $given))]
    if set -q pending[1]
        set kind $pending[1]
    else if not set -q kind[1]
        set kind (string match '*+' -- $operands[-1])
    end
    set -q kind[1]; and __volpipe_candidates $argv[1] (string replace -r '\+$' '' -- $kind)
end

# A link by the name of a tool is for this one.
set -l tools frame-filter nifti-cat nifti-write npy-cat vol-cat vol-commit vol-export vol-gc vol-ls \
    vol-meta vol-rm vol-verify vol-write
set -l own (string replace -r '\.fish$' '' -- (status basename))
contains -- $own $tools; and set tools $own
for tool in $tools
    complete -c $tool -f -k -a "(__volpipe_operand $tool)"
    __volpipe_options $tool
end
