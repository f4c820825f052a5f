package hearth.agent.handle

import java.sql.{Date, Timestamp}
import java.time.{DateTimeException, Duration, Instant, LocalDate, LocalDateTime, OffsetDateTime, ZoneId, ZoneOffset}

/** Days and times between Python and the JVM, by the bytes that Python's own pickles have for them.
  *
  * A date is a `java.sql.Date`, a datetime without a zone a `Timestamp` in the JVM's time zone, as in PySpark; where that has no such day
  * or time (the hour that a clock leaves out in spring, the days that the calendar left out in 1582) it is a `LocalDate` or
  * `LocalDateTime`. A datetime in UTC is an `Instant`, one of another fixed offset an `OffsetDateTime`, a timedelta a `Duration`.
  */
object Times {

  /** A `date`'s four bytes. */
  def date(state: Array[Byte]): Any = {
    val day = LocalDate.of(year(state), state(2), state(3))
    val made = Date.valueOf(day)
    if (made.toLocalDate == day) made else day
  }

  /** A `datetime`'s ten bytes, without a zone. */
  def local(state: Array[Byte]): Any = {
    val time = read(state)
    // An hour that a clock goes through twice in autumn: Python's fold says that it is the second time, which is the JVM's usual.
    val instant = if ((state(2) & fold) == 0) earlier(time) else later(time)
    Seq(Timestamp.from(instant), Timestamp.valueOf(time)).find(_.toLocalDateTime == time).getOrElse(time)
  }

  /** A `datetime`'s ten bytes, and its zone's offset. */
  def zoned(state: Array[Byte], offset: ZoneOffset): Any =
    if (offset == ZoneOffset.UTC) read(state).toInstant(offset) else OffsetDateTime.of(read(state), offset)

  /** The offset of a zone.
    *
    * @throws HandleException `bad_value` for one that the JVM has no like of
    */
  def offset(from: Duration): ZoneOffset =
    try {
      if (from.getNano != 0) throw new DateTimeException("a part of a second")
      ZoneOffset.ofTotalSeconds(Math.toIntExact(from.getSeconds))
    } catch { case _: DateTimeException | _: ArithmeticException => throw otherZone(s"the offset $from") }

  def otherZone(zone: String): HandleException = HandleException.badValue(
    s"a datetime with $zone cannot go from one language to another: make it one in UTC, by .astimezone(datetime.timezone.utc), or one " +
      "without a time zone")

  def timedelta(days: Long, seconds: Long, micros: Long): Duration =
    Duration.ofDays(days).plusSeconds(seconds).plusNanos(micros * 1000)

  /** The bytes of a `date`. */
  def state(day: LocalDate): Array[Byte] = Array[Byte](high(day.getYear), day.getYear.toByte, day.getMonthValue.toByte, day.getDayOfMonth.toByte)

  /** The bytes of a `datetime`, which has microseconds. */
  def state(time: LocalDateTime, isLater: Boolean = false): Array[Byte] = {
    val day = state(time.toLocalDate)
    if (isLater) day(2) = (day(2) | fold).toByte
    val micros = time.getNano / 1000
    day ++ Array[Byte](
      time.getHour.toByte, time.getMinute.toByte, time.getSecond.toByte, (micros >> 16).toByte, (micros >> 8).toByte, micros.toByte)
  }

  /** The bytes of a `datetime` in the JVM's zone. */
  def state(time: Timestamp): Array[Byte] = {
    val local = time.toLocalDateTime
    val instant = time.toInstant
    state(local, instant == later(local) && instant != earlier(local))
  }

  /** A time in UTC.
    *
    * @throws HandleException `bad_value` for a year that Python does not know
    */
  def utc(time: Instant): OffsetDateTime =
    if (time.isBefore(first) || time.isAfter(last)) throw otherYear(time.toString) else time.atOffset(ZoneOffset.UTC)

  private def earlier(time: LocalDateTime): Instant = time.atZone(ZoneId.systemDefault).withEarlierOffsetAtOverlap.toInstant

  private def later(time: LocalDateTime): Instant = time.atZone(ZoneId.systemDefault).withLaterOffsetAtOverlap.toInstant

  private def read(state: Array[Byte]): LocalDateTime = LocalDateTime.of(
    year(state), state(2) & 0x7f, state(3), state(4), state(5), state(6),
    (((state(7) & 0xff) << 16) | ((state(8) & 0xff) << 8) | (state(9) & 0xff)) * 1000)

  private def year(state: Array[Byte]): Int = ((state(0) & 0xff) << 8) | (state(1) & 0xff)

  /** @throws HandleException `bad_value` for a year that Python does not know */
  private def high(year: Int): Byte =
    if (year >= 1 && year <= 9999) (year >> 8).toByte
    else throw otherYear(year.toString)

  private def otherYear(time: String): HandleException =
    HandleException.badValue(s"Python has no time for $time: it knows the years 1 to 9999")

  private val first = Instant.parse("0001-01-01T00:00:00Z")
  private val last = Instant.parse("9999-12-31T23:59:59.999999999Z")

  /** The bit of a month's byte in which Python notes the second time. */
  private val fold = 0x80
}
