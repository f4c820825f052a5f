package hearth.agent

/** One statement being run: what it is, its limits, and where its output goes.
  *
  * @param group     the job group of its Spark jobs, `hearth-<session number>-<statement number>`
  * @param maxRows   the most rows a table or a query's result may show
  * @param maxOutput the most bytes (UTF-8) of text that are kept
  */
final class Running(
    val number: Int,
    val code: String,
    val group: String,
    val maxRows: Int,
    val maxOutput: Int,
    output: Running.Output) {

  private val streamed = new Allowance(maxOutput)

  /** True from the moment a cancel is asked for. */
  @volatile var cancelled = false

  /** Sends what the code has printed, at once; any thread may call it, also after the statement is over (it is then dropped). */
  def stdout(text: String): Unit = write("stdout", text)

  def stderr(text: String): Unit = write("stderr", text)

  /** Bytes of printed text that were not sent because of `maxOutput`. */
  def dropped: Long = streamed.refused

  private def write(stream: String, text: String): Unit = {
    val (sent, first) = streamed.take(text)
    if (sent.nonEmpty) output.write(stream, sent)
    if (first) output.write(stream, streamed.notice)
  }
}

object Running {

  /** Where printed text goes: `stream` is `stdout` or `stderr`. */
  trait Output {
    def write(stream: String, text: String): Unit
  }
}
