package hearth.agent.handle

import org.apache.spark.hearth.Pickled
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{DataFrame, Row, SparkSession}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.hearth.{Plans, Readers, SparkSql}
import org.apache.spark.sql.types.StructType

/** What one version of a handle holds; it never changes. */
trait Content {

  /** `dataframe`, `rdd`, `pairs` or `value`. */
  def kind: String

  /** The columns it has as a table; None for a value, and for elements that have no columns. */
  def schema: Option[StructType]

  /** Who needs what it keeps cached. */
  def kept: Kept

  /** The RDD that holds its data, if that is cached. */
  def storedIn: Option[Int]

  /** How many partitions it has; 0 for a frame of which that is known only when it is computed. */
  def partitions: Int

  /** As a frame of a session.
    *
    * @throws HandleException `bad_columns` where it has no columns
    */
  def frame(session: SparkSession): DataFrame

  /** As a frame in the hands of session code, which is a reader as long as it has it, or something that was made of it. */
  def lent(session: SparkSession): DataFrame

  /** The most bytes of the driver's own memory that it takes. */
  def driverBytes: Long = 0
}

/** A frame, by its plan.
  *
  * @param made   as it was given; it knows whether it is cached
  * @param opened whether it reads what was written of the handle
  */
final class FrameContent(made: DataFrame, opened: Boolean, override val kept: Kept) extends Content {
  val plan: LogicalPlan = Plans.of(made)
  override def kind: String = "dataframe"
  override def schema: Option[StructType] = Some(plan.schema)
  override def storedIn: Option[Int] = Plans.cachedIn(made)
  override val partitions: Int = Plans.partitions(made)
  override def frame(session: SparkSession): DataFrame = SparkSql.frame(session, plan)
  override def lent(session: SparkSession): DataFrame = Readers.lent(session, plan, kept, opened)
  Readers.ofView(plan, kept, opened)
}

/** An RDD of Scala's, or of Python's in its own pickled form. */
final class RddContent(val rdd: RDD[_], val isPython: Boolean, columns: Option[StructType], override val kept: Kept) extends Content {
  override def kind: String = "rdd"
  override def schema: Option[StructType] = columns
  override def storedIn: Option[Int] = Some(rdd.id)
  override def partitions: Int = rdd.getNumPartitions

  /** The elements as Scala knows them. */
  def elements: RDD[Any] = if (isPython) Pickled.elements(rdd.asInstanceOf[RDD[Array[Byte]]]) else rdd.asInstanceOf[RDD[Any]]

  override def frame(session: SparkSession): DataFrame = frame(session, identity)

  // Frames that are made of it have its rows, not the frame.
  override def lent(session: SparkSession): DataFrame = frame(session, kept.lend(_))

  /** @throws HandleException `bad_columns` where the elements have no columns */
  def table: StructType = columns.getOrElse(throw new HandleException(
    "bad_columns", "the elements of this RDD are of a class that SQL has no columns for: map them to tuples, dicts or case classes first"))

  private def frame(session: SparkSession, keep: RDD[Row] => RDD[Row]): DataFrame = {
    val table = this.table
    session.createDataFrame(keep(RddContent.rows(elements, table)), table)
  }
}

object RddContent {
  def rows(elements: RDD[Any], table: StructType): RDD[Row] = elements.map(Schemas.row(_, table))
}

/** A single value.
  *
  * @param bytes its size as a pickle
  */
final class ValueContent(val value: Any, bytes: Long) extends Content {
  override def kind: String = "value"
  override def schema: Option[StructType] = None
  override val kept: Kept = Kept.nothing
  override def storedIn: Option[Int] = None
  override def partitions: Int = 0
  override def driverBytes: Long = bytes
  override def frame(session: SparkSession): DataFrame =
    throw new HandleException("bad_columns", "a value has no columns: read it by hearth.shared(name)")
  override def lent(session: SparkSession): DataFrame = frame(session)
}
