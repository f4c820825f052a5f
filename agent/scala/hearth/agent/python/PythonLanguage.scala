package hearth.agent.python

import org.apache.spark.SparkConf

import hearth.agent.{Interpreter, Language, Prepared, Settings, Workspace}

/** Python, by PySpark, in a process of its own for each session. */
object PythonLanguage extends Language {
  override val kind = "pyspark"

  override def prepare(settings: Settings): Prepared = {
    val conf = new SparkConf
    val command = PythonCommand.of(conf, sys.env, settings.python)
    val python = new AttachedPython(command, conf)
    new Prepared {
      override def open(workspace: Workspace): Interpreter =
        new PythonInterpreter(python, () => new AttachedPython(command, conf), workspace)
      override def close(): Unit = python.close()
    }
  }
}
