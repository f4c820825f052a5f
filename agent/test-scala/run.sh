#!/bin/sh
# Compiles the agent and its checks against one Spark and runs them: agent/test-scala/run.sh SPARK_HOME
# The agent is not compiled where HEARTH_AGENT_JAR names a jar of it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
jar=${HEARTH_AGENT_JAR:-$work/agent.jar}
[ -n "${HEARTH_AGENT_JAR:-}" ] || "$here/../build.sh" "$1" "$jar"
mkdir "$work/classes"
java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$1/jars/*:$jar" scala.tools.nsc.Main -usejavacp -nowarn \
  -d "$work/classes" "$here"/*.scala
java -XX:TieredStopAtLevel=1 -cp "$1/jars/*:$jar:$work/classes" hearth.agent.Checks "$here/../golden"
java -XX:TieredStopAtLevel=1 -cp "$1/jars/*:$jar:$work/classes" scala.tools.nsc.interpreter.lines.ReplChecks
# As spark-submit opens them, for Kryo.
opened=$(printf -- '--add-opens=java.base/%s=ALL-UNNAMED ' java.lang java.lang.invoke java.nio java.util)
# shellcheck disable=SC2086
java -XX:TieredStopAtLevel=1 $opened -cp "$1/jars/*:$jar:$work/classes" hearth.agent.handle.HandleChecks
