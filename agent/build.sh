#!/bin/sh
# Compiles the agent against one Spark, for work on the agent itself: agent/build.sh SPARK_HOME OUT.jar
# (`hearth agent build` does the same from the sources in the binary.) Needs java and python3.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
spark=$1 jar=$2
case $(ls "$spark"/jars/scala-library-*.jar) in
  *-2.12.*) version=2.12 ;;
  *) version=2.13 ;;
esac
case $(ls "$spark"/jars/spark-core_*.jar) in
  *-3.*) line=spark-3 ;;
  *) line=spark-4 ;;
esac
classes=$(mktemp -d)
trap 'rm -rf "$classes"' EXIT
java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$spark/jars/*" scala.tools.nsc.Main -usejavacp -nowarn ${SCALAC_FLAGS:-} \
  -d "$classes" $(find "$here/scala" "$here/scala-$version" "$here/$line" -name '*.scala')
python3 - "$classes" "$jar" <<'END'
import pathlib, sys, zipfile
root, jar = pathlib.Path(sys.argv[1]), sys.argv[2]
with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as out:
    out.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nPremain-Class: hearth.agent.Instrument\r\n\r\n")
    for file in sorted(root.rglob("*.class")):
        out.write(file, file.relative_to(root).as_posix())
END
