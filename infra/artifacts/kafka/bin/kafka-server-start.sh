#!/bin/bash
# kafka-server-start.sh FILE.properties [--override NAME=VALUE]…    in the foreground, as systemd wants it
if [ $# -lt 1 ]; then
    echo "USAGE: $0 server.properties [--override property=value]*" >&2
    exit 1
fi
base_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
export KAFKA_LOG4J_OPTS="${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=$base_dir/config/log4j2.yaml}"
export KAFKA_HEAP_OPTS="${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G}"
export KAFKA_JVM_PERFORMANCE_OPTS="${KAFKA_JVM_PERFORMANCE_OPTS:--server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:+ExplicitGCInvokesConcurrent}"
exec "$base_dir/bin/kafka-run-class.sh" kafka.Kafka "$@"
