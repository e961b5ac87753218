# Read by bin/cassandra; puts together JVM_OPTS. Heap: MAX_HEAP_SIZE, or 1 GB.
JVM_OPTS="$JVM_OPTS -Xms${MAX_HEAP_SIZE:-1G} -Xmx${MAX_HEAP_SIZE:-1G} ${HEAP_NEWSIZE:+-Xmn$HEAP_NEWSIZE}"
JVM_OPTS="$JVM_OPTS -javaagent:$CASSANDRA_HOME/lib/jamm-0.4.0.jar"
# JMX for this host only, as nodetool asks by.
JVM_OPTS="$JVM_OPTS -Dcassandra.jmx.local.port=${JMX_PORT:-7199}"
JVM_OPTS="$JVM_OPTS $JVM_EXTRA_OPTS"
