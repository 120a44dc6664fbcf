#!/bin/bash
# Clones as an array job of Slurm, in a folder that all nodes share and that has golden.vhdx, golden.json, machines.csv, what
# the list names, and out/. A task that fails is run again alone, and makes what is missing:
#   sbatch --array=0-15 slurm.sh
#   sbatch --array=3 --export=ALL,SHARDS=16 slurm.sh
#SBATCH --job-name=clones
#SBATCH --cpus-per-task=2
#SBATCH --mem=1G
#SBATCH --time=01:00:00
#SBATCH --output=clones-%a.json
#SBATCH --error=clones-%a.log
set -euo pipefail
exec nano-image clone golden.vhdx --recipe golden.json --machines machines.csv -o 'out/{name}.vhdx' \
  --shard "$SLURM_ARRAY_TASK_ID/${SHARDS:-$SLURM_ARRAY_TASK_COUNT}" --jobs "$SLURM_CPUS_PER_TASK" --json --progress none
