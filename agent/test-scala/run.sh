#!/bin/sh
# Compiles the agent and its checks against one Spark and runs them: agent/test-scala/run.sh SPARK_HOME
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/../build.sh" "$1" "$work/agent.jar"
mkdir "$work/classes"
java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$1/jars/*:$work/agent.jar" scala.tools.nsc.Main -usejavacp -nowarn \
  -d "$work/classes" "$here"/*.scala
java -XX:TieredStopAtLevel=1 -cp "$1/jars/*:$work/agent.jar:$work/classes" hearth.agent.Checks "$here/../golden"
# As spark-submit opens them, for Kryo.
opened=$(printf -- '--add-opens=java.base/%s=ALL-UNNAMED ' java.lang java.lang.invoke java.nio java.util)
# shellcheck disable=SC2086
java -XX:TieredStopAtLevel=1 $opened -cp "$1/jars/*:$work/agent.jar:$work/classes" hearth.agent.handle.HandleChecks
