package hearth.agent

/** Loads classes that Spark SQL needs and that take a second or more, beside the start of the SparkContext, which needs none of
  * them.
  *
  * Nothing else may touch Spark SQL meanwhile: two threads that initialise classes which need each other wait for ever.
  */
object Preload {
  private val slow = Seq(
    "org.apache.spark.sql.catalyst.analysis.FunctionRegistry$",
    // Spark 4 registers these with each first session.
    "org.apache.spark.sql.ml.InternalFunctionRegistration$")

  private val thread = new Thread(() => slow.foreach(load), "hearth-preload")
  thread.setDaemon(true)

  def start(): Unit = thread.start()

  /** Waits until it is done; then anyone may use Spark SQL. */
  def await(): Unit = thread.join()

  /** A class that this Spark does not have is no loss. */
  private def load(name: String): Unit =
    try Class.forName(name, true, Thread.currentThread.getContextClassLoader)
    catch { case _: ClassNotFoundException => () }
}
