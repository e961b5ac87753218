#!/bin/bash
# Runs a main class with the jars of this directory, with what the official script takes from the environment.
base_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
: "${KAFKA_LOG4J_OPTS:=-Dlog4j2.configurationFile=$base_dir/config/tools-log4j2.yaml}"
: "${KAFKA_HEAP_OPTS:=-Xmx256M}"
: "${KAFKA_JVM_PERFORMANCE_OPTS:=-XX:+UseSerialGC -XX:TieredStopAtLevel=1}"
# Unquoted: several words each.
# shellcheck disable=SC2086
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" $KAFKA_HEAP_OPTS $KAFKA_JVM_PERFORMANCE_OPTS $KAFKA_GC_LOG_OPTS $KAFKA_JMX_OPTS \
    -Djava.awt.headless=true ${LOG_DIR:+"-Dkafka.logs.dir=$LOG_DIR"} $KAFKA_LOG4J_OPTS $KAFKA_OPTS \
    -cp "${CLASSPATH:+$CLASSPATH:}$base_dir/libs/*" "$@"
