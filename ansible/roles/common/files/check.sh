#!/bin/sh
# Asks every service of this host, as root, and prints a line for each: ok or bad, which one, what was found and, if it is
# bad, what to do. Run by check.yml:  sh -s PRIVATE_IP DATA_ROOT CONSOLE PAGES PROMETHEUS DAYS DISK_PERCENT ROLE…
# Functions are called by the names of roles, and file names of /etc have no spaces.
# shellcheck disable=SC2317,SC2044,SC2046
set -u
private=$1 data=$2 console=$3 pages=$4 prometheus=$5 days=$6 percent=$7
shift 7
roles=" $* "

told() { printf '%s\t%s\t%s\n' "$1" "$2" "$3"; }
ok() { told ok "$1" "$2"; }
bad() { told bad "$1" "$2"; }
is() { case $roles in *" $1 "*) true ;; *) false ;; esac }
ask() { curl --silent --max-time 10 --insecure "$@"; }
code() { ask --output /dev/null --write-out '%{http_code}' "$@"; }

runs() { # UNIT PLAYBOOK: whether it does; tells it if not
    state=$(systemctl is-active "$1")
    [ "$state" = active ] && return
    bad "$1" "it is $state: see \`journalctl -u $1\`, then run $2"
    return 1
}

disk() {
    for at in / "$data"; do
        [ -d "$at" ] || continue
        set -- $(df -P "$at" | awk 'END { sub("%", "", $5); print $5, $6 }')
        case " ${seen:-} " in *" $2 "*) continue ;; esac
        seen="${seen:-} $2"
        if [ "$1" -le "$percent" ]; then ok disk "$1 % of $2 are used"; else
            bad disk "$1 % of $2 are used: make room, or enlarge the volume (Terraform's data_gb, root_gb)"
        fi
    done
}

certificates() {
    for file in $(find /etc -path /etc/ssl -prune -o \( -name cert.pem -o -name serve-cert \) -path '*/tls/*' -print 2> /dev/null | sort); do
        end=$(openssl x509 -noout -enddate -in "$file" 2> /dev/null) || { bad certificate "$file isn't one: run site.yml" && continue; }
        left=$((($(date -d "${end#notAfter=}" +%s) - $(date +%s)) / 86400))
        if [ "$left" -ge "$days" ]; then ok certificate "$file is good for $left days"; else
            bad certificate "$file ends in $left days: run site.yml, which makes certificates anew"
        fi
    done
}

failed() {
    units=$(systemctl list-units --failed --no-legend --plain | awk '{ print $1 }' | tr '\n' ' ')
    if [ -z "$units" ]; then ok units "none has failed"; else
        bad units "$units failed: see \`systemctl status\` of each; \`systemctl reset-failed\` forgets them"
    fi
}

clock() {
    [ -x /usr/bin/chronyc ] || return 0
    if chronyc -n tracking | grep -q '^Leap status *: Normal'; then ok clock "chrony keeps it"; else
        bad clock "chrony has no server it trusts: see \`chronyc sources\`"
    fi
}

cassandra() {
    runs cassandra cassandra.yml || return
    rows=$(/usr/local/sbin/nodetool status 2>&1) || { bad cassandra "nodetool says: $(echo "$rows" | tail -n 1)" && return; }
    up=$(echo "$rows" | grep -c '^UN ') down=$(echo "$rows" | grep -c '^[DU][NLJM] ')
    if [ "$up" -eq "$down" ] && [ "$up" -gt 0 ]; then ok cassandra "all $up nodes are up"; else
        bad cassandra "$up of $down nodes are up: run cassandra.yml, which starts those that are down"
    fi
}

mysql() {
    runs mariadb mysql.yml || return
    if said=$(mariadb-admin --connect-timeout=5 ping 2>&1); then ok mariadb "it answers"; else bad mariadb "$said: run mysql.yml"; fi
}

search() {
    runs opensearch search.yml || return
    health=$(ask http://127.0.0.1:9200/_cluster/health)
    field() { echo "$health" | sed -n "s/.*\"$1\":\"\{0,1\}\([a-z0-9]*\).*/\1/p"; }
    status=$(field status) nodes=$(field number_of_nodes)
    case $status-$nodes in
        green-* | yellow-1) ok indexes "they are whole; nodes: $nodes" ;;
        yellow-*) bad indexes "copies are missing, which OpenSearch makes anew once the node is back or another has room: run search.yml" ;;
        *) bad indexes "$(echo "${health:-it does not answer}" | head -c 300): run search.yml, which starts nodes that are down" ;;
    esac
    # Whoever brings no password is to be refused.
    got=$(code "https://$private:9200/")
    if [ "$got" = 401 ]; then ok search "it answers, and asks for a password"; else
        bad search "https://$private:9200/ answers $got and not 401: see \`systemctl status opensearch nginx\`, then run search.yml"
    fi
}

workers() {
    # Producers may have sent all there is, and what a timer starts ends.
    stopped=$(systemctl list-units --all --no-legend --plain 'millstream@*.service' 'millstream-serve@*.service' | awk '$3 != "active" { print $1 }' | tr '\n' ' ')
    running=$(systemctl list-units --no-legend --plain 'millstream@*.service' | grep -c ' active ')
    if [ -n "$stopped" ]; then bad workers "$stopped don't run: see \`journalctl -u\` of each, then run worker.yml"; else
        ok workers "$running run"
    fi
    ready=$(ask --write-out '\n%{http_code}' "http://$console/readyz")
    if [ "${ready##*
}" = 200 ]; then ok console "the worker that shows it is at work"; else
        bad console "http://$console/readyz says: $(echo "$ready" | head -c 300): see the console, and docs/operate.md"
    fi
}

edge() {
    runs nginx edge.yml || return
    got=$(code https://127.0.0.1/)
    if [ "$got" = 200 ]; then ok pages "they answer by TLS"; else
        bad pages "https://$private/ answers $got: see \`systemctl status nginx 'millstream-serve@*'\`; the pages are at $pages"
    fi
    got=$(code http://127.0.0.1/)
    if [ "$got" = 301 ]; then ok edge "HTTP leads to HTTPS"; else bad edge "http://$private/ answers $got and not 301: run edge.yml"; fi
    got=$(code https://127.0.0.1/console/)
    if [ "$got" = 401 ]; then ok edge "the console asks for a password"; else
        bad edge "/console/ answers $got to whoever has no password: run edge.yml"
    fi
}

monitoring() {
    runs prometheus monitoring.yml || return
    runs prometheus-alertmanager monitoring.yml || return
    count() { ask --get "http://$prometheus/api/v1/query" --data-urlencode "query=$1" | sed -n 's/.*"value":\[[^,]*,"\([^"]*\)".*/\1/p'; }
    down=$(count 'count(up == 0) or vector(0)') all=$(count 'count(up)')
    if [ "$down" = 0 ]; then ok prometheus "all $all that it asks answer"; else
        bad prometheus "${down:-?} of ${all:-?} that it asks don't answer: \`up == 0\` names them; HostDown's remedy helps"
    fi
    # What is less than critical is told; it works all the same.
    firing() {
        ask --get "http://$prometheus/api/v1/query" --data-urlencode "query=count by (alertname) (ALERTS{alertstate=\"firing\", severity$1\"critical\"})" \
            | grep -o '"alertname":"[^"]*"' | cut -d '"' -f 4 | tr '\n' ' '
    }
    critical=$(firing '=') others=$(firing '!=')
    if [ -n "$critical" ]; then bad alerts "$critical: Prometheus (\`ALERTS\`) tells what of; the remedy is in roles/monitoring/files/rules"; else
        ok alerts "none is critical${others:+; to look at: $others}"
    fi
}

disk
certificates
failed
clock
for role in cassandra mysql search edge monitoring; do if is "$role"; then "$role"; fi; done
if is worker; then workers; fi
if systemctl cat --quiet prometheus-node-exporter > /dev/null 2>&1; then runs prometheus-node-exporter monitoring.yml && ok node-exporter "it runs"; fi
exit 0
