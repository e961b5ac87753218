#!/bin/bash
# Stands in for the distribution's script of this name.
KAFKA_HOME=${KAFKA_HOME:-/opt/kafka}
: "${KAFKA_HEAP_OPTS:=-Xmx256M}"
: "${KAFKA_LOG4J_OPTS:=-Dlog4j2.configurationFile=$KAFKA_HOME/config/tools-log4j2.yaml}"
archive=$KAFKA_HOME/tools.jsa
# An environment that is meant for the server (agents, JMX) is not for its tools.
# Unquoted: several words each.
exec "${JAVA_HOME:-/opt/java}/bin/java" $KAFKA_HEAP_OPTS -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
    ${ARCHIVE_OPTS:--XX:SharedArchiveFile=$archive -Xlog:cds=off -Xlog:cds+dynamic=off} -Djava.awt.headless=true \
    $KAFKA_LOG4J_OPTS $KAFKA_OPTS -cp "$KAFKA_HOME/libs/*" "$@"
