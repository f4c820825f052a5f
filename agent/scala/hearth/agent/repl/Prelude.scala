package hearth.agent.repl

import java.util.concurrent.ConcurrentHashMap

import scala.tools.nsc.interpreter.lines.Lines

import hearth.agent.Workspace
import hearth.agent.handle.{Namespace, SharedRdds, ShareableRdds}
import org.apache.spark.SparkContext
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{DataFrame, DatasetHolder, Encoder, SparkSession, SQLContext, SQLImplicits}

/** What every Scala session begins with: `spark`, `sc`, `sqlContext` and the imports of spark-shell.
  *
  * They are the members of an object that each session has for itself, from [[Preludes]] or else compiled under a line number of its own, and
  * imports. The REPL knows the members of an object without running anything; for an import from a value, as in spark-shell, it would compile and
  * run a dozen lines.
  */
class Prelude(range: Int) extends SQLImplicits with Serializable {

  @transient lazy val spark: SparkSession = Prelude.session(range)

  @transient lazy val sc: SparkContext = spark.sparkContext

  @transient lazy val sqlContext: SQLContext = spark.sqlContext

  /** The data of the context that have a name. */
  @transient lazy val hearth: Namespace = Prelude.place(range).handles

  @transient lazy val ShareableRdd: ShareableRdds = new ShareableRdds(hearth)

  @transient lazy val SharedRdd: SharedRdds = new SharedRdds(hearth)

  type SharedRdd[K, V] = _root_.hearth.agent.handle.SharedRdd[K, V]

  def sql(query: String): DataFrame = spark.sql(query)

  // Spark 3 asks for the first of these, Spark 4 for the others.
  protected def _sqlContext: SQLContext = spark.sqlContext
  protected def session: SparkSession = spark
  override implicit def localSeqToDatasetHolder[T: Encoder](items: Seq[T]): DatasetHolder[T] =
    spark.implicits.localSeqToDatasetHolder(items)
  override implicit def rddToDatasetHolder[T: Encoder](items: RDD[T]): DatasetHolder[T] = spark.implicits.rddToDatasetHolder(items)
}

object Prelude {
  final class Place(val spark: SparkSession, val handles: Namespace)

  private val places = new ConcurrentHashMap[Int, Place]

  /** Where the Scala session with this range of lines is. */
  def place(range: Int): Place = {
    val found = places.get(range)
    if (found == null) throw new IllegalStateException("spark, sc and hearth are not there in tasks: use them in the driver's code")
    found
  }

  def session(range: Int): SparkSession = place(range).spark

  def bind(range: Int, workspace: Workspace): Namespace = {
    val handles = new Namespace(workspace)
    places.put(range, new Place(workspace.spark, handles))
    handles
  }

  def unbind(range: Int): Unit = places.remove(range)

  /** Makes it known to the session, and compiles it where it is not there; needs nothing of Spark.
    *
    * @param line the session's line number that is kept for it
    */
  def compile(lines: Lines, range: Int, line: Int): Unit = {
    val isThere = range <= Preludes.count
    val made = isThere || lines.define(s"package $$line$line\nobject prelude extends _root_.hearth.agent.repl.Prelude($range)\n")
    val prelude = if (isThere) s"hearth.agent.repl.Preludes.p$range" else s"$$line$line.prelude"
    val imported = made && lines.compile(
      s"""import _root_.$prelude._
         |import org.apache.spark.SparkContext._
         |import org.apache.spark.sql.functions._""".stripMargin).fold(_ => false, imports => { imports.record(); true })
    if (!imported)
      throw new IllegalStateException("the prelude of a Scala session does not compile: " + lines.said().map(_.message).mkString("; "))
  }

  /** The value of the prelude with this name. */
  def value(name: String, spark: SparkSession): Option[Any] = name match {
    case "spark"      => Some(spark)
    case "sc"         => Some(spark.sparkContext)
    case "sqlContext" => Some(spark.sqlContext)
    case _            => None
  }
}
