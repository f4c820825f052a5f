package hearth.agent.handle

import java.util.concurrent.{ScheduledExecutorService, TimeUnit}

import scala.collection.mutable
import scala.util.control.NonFatal

import hearth.agent.Log
import org.apache.spark.sql.SparkSession

/** All handles of the context, by name.
  *
  * They belong to the context, not to the session that made them. What fails in one of them ends neither a session nor the agent.
  *
  * @param spark gives the context's first SparkSession, once there is one
  * @param news  told of every change, in order
  */
final class Handles(spark: () => SparkSession, news: Handles.News, timer: ScheduledExecutorService) {
  private val byName = mutable.LinkedHashMap.empty[String, Handle]
  val creations = new Creations
  val work = new Work(spark)
  @volatile private[handle] var store: Option[Store] = None

  /** @throws HandleException `not_found` */
  def apply(name: String): Handle = get(name).getOrElse(throw HandleException.notFound(name))

  def get(name: String): Option[Handle] = synchronized(byName.get(name))

  def all: Seq[Handle] = synchronized(byName.values.toVector)

  def root: SparkSession = spark()

  /** Puts new data under a name, in the place of what was there, if it was. Who reads the old goes on reading it.
    *
    * @param make prepares the data; by the time it returns they are computed, if that is asked for
    */
  def share(name: String, maker: Maker, options: Options)(make: => Either[Content, Pairs]): Handle = {
    Handle.checkName(name)
    room(name)
    val made = make
    val content = made.fold(identity, _.now.content)
    try {
      val durable = if (options.durable) Some(writable.write(name, content, spark())) else None
      add(name) { number =>
        val handle = new Handle(name, maker, options, number, Handle.Known.of(content), () => made)
        handle.reading(_ => ())
        handle.path = durable
        handle
      }
    } catch {
      case failure: Throwable =>
        made.fold(_.kept.leave(), _.retire())
        throw HandleException.within(failure)
    }
  }

  /** Registers a durable handle of an earlier application of this context; it is opened when it is first used. */
  private[handle] def register(handle: Handle): Unit = synchronized {
    if (!byName.contains(handle.name)) {
      byName(handle.name) = handle
      shown(handle)
    }
  }

  /** Puts and deletes entries; see [[Handle.change]]. */
  def change(name: String, maker: Maker, changes: Seq[(Any, Option[Any])]): Long = {
    val handle = this(name)
    val version = handle.change(changes)
    news.put(handle, maker)
    if (handle.entries().claimMerge()) work.inBackground(s"merge of ${handle.name}") {
      handle.entries().merge()
    }
    if (handle.options.durable) writable.later(handle, news)
    version
  }

  /** @throws HandleException `not_found` */
  def unshare(name: String, maker: Maker): Unit = remove(this(name), maker, "unshared", "unshared")

  private def writable: Store = store.getOrElse(throw HandleException.failed(
    "this context's profile has no handle store, so a handle cannot be durable: leave durable out, or have the profile name a store"))

  private def add(name: String)(make: Long => Handle): Handle = synchronized {
    val old = byName.get(name)
    if (old.isEmpty) room(name)
    val made = make(old.map(_.version + 1).getOrElse(1))
    byName(name) = made
    shown(made)
    news.version(made)
    old.foreach(_.end(HandleException.failed(s"the handle $name has just got another version: try again")))
    made.options.ttlMillis.foreach { millis =>
      timer.schedule((() => work.inBackground(s"expiry of $name")(expire(made))): Runnable, millis, TimeUnit.MILLISECONDS)
    }
    made
  }

  private def expire(handle: Handle): Unit = {
    val current = synchronized(byName.get(handle.name).contains(handle))
    if (current) remove(handle, Maker.outside, "expired", s"its time to live of ${handle.options.ttlMillis.getOrElse(0L) / 1000.0} s is over")
  }

  private def remove(handle: Handle, maker: Maker, how: String, reason: String): Unit = {
    synchronized {
      if (!byName.get(handle.name).contains(handle)) throw HandleException.gone(handle.name)
      byName.remove(handle.name)
      Views.hide(spark(), handle.name)
      news.gone(handle, maker, reason)
    }
    handle.end(HandleException.gone(handle.name))
    Log.info(s"handle ${handle.name} $how")
  }

  private def room(name: String): Unit = synchronized {
    if (byName.size >= Handles.most && !byName.contains(name))
      throw HandleException.failed(s"this context has ${Handles.most} handles already, the most that it may have: unshare some")
  }

  /** A view that cannot be made is no reason to refuse the handle. */
  private def shown(handle: Handle): Unit =
    try Views.show(spark(), handle)
    catch { case NonFatal(failure) => Log.warn(s"no view for handle ${handle.name}: ${failure.getMessage}") }
}

object Handles {

  /** Handles of one context. */
  val most = 1000

  /** Who is told of changes. None of it may block. */
  trait News {

    /** A new version by `share`, or by opening. */
    def version(handle: Handle): Unit

    /** A new version by puts or deletes. */
    def put(handle: Handle, maker: Maker): Unit

    def gone(handle: Handle, maker: Maker, reason: String): Unit
  }

  @volatile private var started: Option[Handles] = None

  /** Those of this JVM's context. */
  def here: Handles = started.getOrElse(throw HandleException.failed("there are no handles in this driver"))

  private[agent] def start(handles: Handles): Unit = started = Some(handles)
}
