package hearth.agent.handle

import java.time.{Duration, LocalDate, OffsetDateTime}

import scala.collection.JavaConverters._

/** A value for Python, which its pickle has as the call that makes it.
  *
  * @param arguments in the form that pickles are made from
  */
final class PythonCall(val module: String, val name: String, val arguments: Seq[Any])

private[handle] object PythonCall {
  def date(day: LocalDate): PythonCall = new PythonCall("datetime", "date", Seq(new Bytes(Times.state(day))))

  /** Without a zone. */
  def datetime(state: Array[Byte]): PythonCall = new PythonCall("datetime", "datetime", Seq(new Bytes(state)))

  def datetime(time: OffsetDateTime): PythonCall = {
    val zone = new PythonCall("datetime", "timezone", Seq(timedelta(Duration.ofSeconds(time.getOffset.getTotalSeconds))))
    new PythonCall("datetime", "datetime", Seq(new Bytes(Times.state(time.toLocalDateTime)), zone))
  }

  /** @throws HandleException `bad_value` if it is longer than Python's are */
  def timedelta(span: Duration): PythonCall = {
    if (math.abs(span.toDays) > mostDays)
      throw HandleException.badValue(s"the time span $span is longer than Python's, which are of at most $mostDays days")
    val days = Math.floorDiv(span.getSeconds, daySeconds)
    new PythonCall("datetime", "timedelta", Seq(days, Math.floorMod(span.getSeconds, daySeconds), span.getNano / 1000))
  }

  def row(names: Seq[String], values: Seq[Any]): PythonCall =
    new PythonCall("pyspark.sql.types", "_create_row", Seq(new java.util.ArrayList(names.asJava), Values.array(values)))

  def frozenset(items: Seq[Any]): PythonCall = new PythonCall("builtins", "frozenset", Seq(new java.util.ArrayList(items.asJava)))

  private val daySeconds = 86400L
  private val mostDays = 999999998L
}
