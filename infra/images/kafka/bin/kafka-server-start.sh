#!/bin/bash
KAFKA_HOME=${KAFKA_HOME:-/opt/kafka}
: "${KAFKA_LOG4J_OPTS:=-Dlog4j2.configurationFile=$KAFKA_HOME/config/log4j2.yaml}"
archive=$KAFKA_HOME/server.jsa
# Unquoted: several words each.
exec "${JAVA_HOME:-/opt/java}/bin/java" ${KAFKA_HEAP_OPTS:--Xms192M -Xmx384M} \
    ${KAFKA_JVM_PERFORMANCE_OPTS:--XX:+UseG1GC -XX:TieredStopAtLevel=1} \
    ${ARCHIVE_OPTS:--XX:SharedArchiveFile=$archive -Xlog:cds=off -Xlog:cds+dynamic=off} -Djava.awt.headless=true \
    $KAFKA_LOG4J_OPTS $KAFKA_JMX_OPTS $KAFKA_OPTS -cp "$KAFKA_HOME/libs/*" kafka.Kafka "$@"
