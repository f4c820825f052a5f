package hearth.agent.python

import org.apache.spark.{SparkConf, SparkContext}

import hearth.agent.{Interpreter, Language, Prepared, Settings, Workspace}

/** Python, by PySpark, in a process of its own for each session. */
object PythonLanguage extends Language {
  val kind = "pyspark"

  /** Starts the process, which imports PySpark while Spark itself starts. */
  def prepare(settings: Settings): Prepared =
    new PreparedPython(PythonCommand.of(new SparkConf, sys.env, settings.python))
}

private final class PreparedPython(command: PythonCommand) extends Prepared {
  private val attached = new AttachedPython(command)

  override def join(context: SparkContext): Unit = attached.attach(context)

  def open(workspace: Workspace): Interpreter = new PythonInterpreter(command, attached, workspace)

  def close(): Unit = attached.close()
}
