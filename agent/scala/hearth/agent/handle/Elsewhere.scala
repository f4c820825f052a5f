package hearth.agent.handle

import org.apache.spark.sql.{DataFrame, SparkSession}

/** Handles of other contexts, read through the gateway as the owner of this one. */
object Elsewhere {

  /** Asks the gateway for a handle's rows.
    *
    * Given by the application, which knows the gateway; takes the context, the handle's name, and what reads the answer.
    */
  @volatile private[agent] var ask: Option[Asking] = None

  trait Asking {

    /** @throws HandleException with what the gateway answers */
    def read[T](context: String, name: String)(take: java.io.InputStream => T): T
  }

  /** The rows of `context/name`, as they are now. */
  def frame(address: String, spark: SparkSession): DataFrame = {
    val (context, name) = address.splitAt(address.lastIndexOf('/'))
    val asking = ask.getOrElse(throw HandleException.failed("this driver knows no gateway to ask for handles of other contexts"))
    asking.read(context, Handle.checkName(name.drop(1))) { stream =>
      try org.apache.spark.sql.hearth.Plans.read(spark, stream, most)
      catch {
        case _: IllegalStateException => throw HandleException.failed(
          s"$address is more than ${most >> 20} MiB as Arrow, the most that is read from another context: share fewer rows or columns of it")
      }
    }
  }

  /** Bytes that are taken from another context: they go by way of this driver's memory. */
  private val most = 512L * 1024 * 1024
}
