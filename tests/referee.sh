#!/usr/bin/env bash
# Starts Apache Kafka, the referee, as one KRaft node in the foreground; ctrl-C or SIGTERM ends it.
#   tests/referee.sh [PORT [DATA_DIR [key=value ...]]]   default: 19092, a temporary folder
# The controller listens on PORT + 1. Further arguments are broker settings. `tests/setup` fetches
# the jars.
set -euo pipefail

version=${KAFKA_VERSION:-4.2.0}
cache=${KLAMM_TEST_CACHE:-$HOME/.cache/klamm-tests}
libs=$cache/kafka-$version/libs
port=${1:-19092}
controller=$((port + 1))
dir=${2:-$(mktemp -d "${TMPDIR:-/tmp}/referee.XXXXXX")}
shift $(($# < 2 ? $# : 2))

if [ ! -e "$libs/kafka_2.13-$version.jar" ]; then
    echo "Apache Kafka $version is not in $libs: run tests/setup" >&2
    exit 2
fi

mkdir -p "$dir"
cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.quorum.bootstrap.servers=127.0.0.1:$controller
log.dirs=$dir/data
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=500
log.initial.task.delay.ms=1000
log.retention.check.interval.ms=1000
$(printf '%s\n' "$@")
PROPERTIES
cat >"$dir/log4j2.yaml" <<'LOG4J'
Configuration:
  Appenders:
    Console:
      name: STDOUT
      target: SYSTEM_ERR
      PatternLayout:
        pattern: "%d{HH:mm:ss,SSS} %p %c{1} %m%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        - ref: STDOUT
LOG4J

java_options=(-Xms192m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto
    "-Dlog4j2.configurationFile=$dir/log4j2.yaml")
if [ ! -e "$dir/data/meta.properties" ]; then
    java "${java_options[@]}" -cp "$libs/*" kafka.tools.StorageTool format --standalone \
        -t AAAAAAAAQACAAAAAAAAAAQ -c "$dir/server.properties" >"$dir/format.log" 2>&1 ||
        { cat "$dir/format.log" >&2; exit 1; }
fi
exec java "${java_options[@]}" -cp "$libs/*" kafka.Kafka "$dir/server.properties"
