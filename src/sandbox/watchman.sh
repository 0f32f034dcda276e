# Stands by while a throwaway server lives, and cleans up if the process that started the server dies without doing so.
# Arguments: the directories to remove, the server's own first. Input: a process id when a server is up, "none" when it
# is stopped, "dismiss" when there is nothing left to watch. The end of the input without it means that our starter died.
trap '' HUP INT TERM
pid=
while read -r word; do
  case $word in
    dismiss) exit 0 ;;
    none) pid= ;;
    *) pid=$word ;;
  esac
done
if [ -n "$pid" ]; then
  # SIGQUIT is PostgreSQL's immediate shutdown: it ends the backends and frees the shared memory, which SIGKILL does not.
  kill -QUIT "$pid"
  tries=0
  while [ -e "$1/data/postmaster.pid" ] && [ "$tries" -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  if [ -e "$1/data/postmaster.pid" ]; then kill -KILL "$pid"; fi
fi
# An initdb that lost its starter may still be writing, so once may not be enough.
tries=0
until rm -rf "$@" || [ "$tries" -ge 20 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
