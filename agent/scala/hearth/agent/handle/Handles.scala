package hearth.agent.handle

import java.util.concurrent.{ConcurrentHashMap, ScheduledExecutorService, TimeUnit}

import scala.annotation.tailrec
import scala.collection.mutable
import scala.util.control.NonFatal

import hearth.agent.{Jobs, Log}
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.hearth.Readers

/** All handles of the context, by name.
  *
  * They belong to the context, not to the session that made them. What fails in one of them ends neither a session nor the agent.
  *
  * @param spark gives the context's first SparkSession, once there is one
  * @param news  told of every change, in order
  */
final class Handles(spark: () => SparkSession, news: Handles.News, timer: ScheduledExecutorService) {
  private val byName = mutable.LinkedHashMap.empty[String, Handle]

  /** The names that were taken away last: until the gateway has written that down it names what was durable of them again. */
  private val removed = new java.util.LinkedHashSet[String]

  /** Whose the sessions are, as far as the gateway says so. */
  private val owners = new ConcurrentHashMap[String, String]

  /** The SparkSession in which views are made, once there is one. */
  private var shows = Option.empty[SparkSession]
  val creations = new Creations
  val work = new Work(spark)
  val merges = new Merges(work, new Bases(() => store, work))
  val caches = new Caches
  @volatile private[handle] var store: Option[Store] = None

  /** Why there is none, where the gateway says so. */
  @volatile private[handle] var unstored = Option.empty[String]
  @volatile private var jobs = Option.empty[Jobs]

  /** @throws HandleException `not_found` */
  def apply(name: String): Handle = get(name).getOrElse(throw HandleException.notFound(name))

  /** What has a name, if it is what is meant by this id; see [[Claim]].
    *
    * @throws HandleException `not_found`
    */
  def apply(name: String, meant: Option[String]): Handle = this(name).meant(meant)

  def get(name: String): Option[Handle] = synchronized(byName.get(name))

  def all: Seq[Handle] = synchronized(byName.values.toVector)

  def root: SparkSession = spark()

  /** Spark is there: SQL sees the handles from now on. */
  def started(root: SparkSession): Unit = {
    val cancelling = new Jobs(root.sparkContext)
    root.sparkContext.addSparkListener(cancelling)
    jobs = Some(cancelling)
    Readers.started(root)
    synchronized {
      shows = Some(root)
      byName.values.foreach(shown)
    }
  }

  /** Stops the jobs of a group, those that begin later as well, until it is forgotten. */
  def cancelJobs(group: String): Unit = jobs.foreach(_.cancel(group))

  def forgetJobs(group: String): Unit = jobs.foreach(_.forget(group))

  /** A session is somebody's. */
  private[agent] def owned(session: String, owner: String): Unit = owners.put(session, owner)

  /** A session is no more. */
  private[agent] def closed(session: String): Unit = owners.remove(session)

  /** Puts new data under a name, in the place of what was there, if it was. Who reads the old goes on reading it.
    *
    * @param make prepares the data; by the time it returns they are computed, if that is asked for, and nothing that is asked of them
    *             under the lock of all handles runs a job
    */
  def share(name: String, maker: Maker, options: Options)(make: => Handle.Data): Handle = {
    Handle.checkName(name)
    room(name)
    checkFree(name)
    val to = if (options.durable) Some(writable) else None
    val owner = maker.session.flatMap(session => Option(owners.get(session)))
    val made = make
    val content = made.fold(identity, _.now.content)
    try {
      val path = to.map(_.write(name, content))
      add(name, owner) { (claim, number) =>
        val handle = new Handle(name, maker, options, claim, number, Handle.Known.of(content), Right(made))
        handle.written = path.map(Written(_, number))
        handle
      }
    } catch {
      case failure: Throwable =>
        made.fold(_.kept.leave(), _.retire())
        throw HandleException.within(failure)
    }
  }

  /** Registers a durable handle of an earlier application of this context; it is opened when it is first used. One that this
    * application knows, or has taken away, stays as it is.
    *
    * @param leftMillis what is left of its time to live; None: all of it
    */
  private[handle] def register(handle: Handle, leftMillis: Option[Long] = None): Unit = synchronized {
    if (!byName.contains(handle.name) && !removed.contains(handle.name)) {
      for (store <- store; path <- handle.origin) store.keep(path)
      byName(handle.name) = handle
      shown(handle)
      expires(handle, leftMillis)
    }
  }

  /** Puts and deletes entries; see [[Handle.change]]. */
  @tailrec def change(
      name: String,
      maker: Maker,
      changes: Seq[(Any, Option[Any])],
      isCancelled: () => Boolean = Handles.never,
      meant: Option[String] = None): Long = {
    val handle = this(name, meant)
    val to = if (handle.options.durable) Some(writable) else None
    handle.change(changes, isCancelled) match {
      case Some(version) =>
        news.put(handle, maker)
        to.foreach(_.later(handle, this, news))
        version
      case None => change(name, maker, changes, isCancelled, meant)
    }
  }

  /** @throws HandleException `not_found` */
  def unshare(name: String, maker: Maker, meant: Option[String] = None): Unit = remove(this(name, meant), maker, "unshared", "unshared")

  /** Does `work` if the handle is still what its name stands for, which it stays meanwhile; returns whether it is. */
  private[handle] def whileCurrent(handle: Handle)(work: => Unit): Boolean = synchronized {
    val current = byName.get(handle.name).contains(handle)
    if (current) work
    current
  }

  /** Shows a handle to SQL as it is now. */
  private[handle] def show(handle: Handle): Unit = whileCurrent(handle)(shown(handle))

  private def writable: Store = store.getOrElse(throw HandleException.failed(unstored.getOrElse(
    "this context's profile has no handle store, so a handle cannot be durable: leave durable out, or have the profile name a store")))

  private def add(name: String, owner: Option[String])(make: (Claim, Long) => Handle): Handle = {
    val (old, made) = synchronized {
      val old = byName.get(name)
      if (old.isEmpty) {
        room(name)
        checkFree(name)
      }
      old.foreach(collectable)
      val made = old.fold(make(Claim.first(owner), 1))(before => before.next(make(before.claim.next(owner), _)))
      byName(name) = made
      shown(made)
      news.shared(made)
      expires(made)
      (old, made)
    }
    old.foreach(_.replaced(made))
    made
  }

  private def expires(handle: Handle, leftMillis: Option[Long] = None): Unit = leftMillis.orElse(handle.options.ttlMillis).foreach { millis =>
    val due = timer.schedule((() => work.end(expire(handle))): Runnable, millis, TimeUnit.MILLISECONDS)
    handle.whenOver(() => due.cancel(false))
  }

  private def expire(handle: Handle): Unit = {
    val current = synchronized(byName.get(handle.name).contains(handle))
    if (current) remove(handle, Maker.outside, "expired", s"its time to live of ${handle.options.ttlMillis.getOrElse(0L) / 1000.0} s is over")
  }

  private def remove(handle: Handle, maker: Maker, how: String, reason: String): Unit = {
    synchronized {
      if (!byName.get(handle.name).contains(handle)) throw HandleException.gone(handle.name)
      collectable(handle)
      byName.remove(handle.name)
      removed.add(handle.name)
      if (removed.size > Handles.mostRemoved) removed.remove(removed.iterator.next())
      shows.foreach(Views.hide(_, handle.name))
      news.gone(handle, maker, reason)
    }
    handle.end(HandleException.gone(handle.name))
    Log.info(s"handle ${handle.name} $how")
  }

  /** When the handle is over, what was written of it goes as soon as nobody reads it and the gateway no longer counts on it. */
  private def collectable(handle: Handle): Unit = if (handle.written.isDefined) store.foreach { store =>
    val kept = handle.opened.map(_.kept)
    handle.whenOver { () =>
      val forget = () => news.settled(store.forget((handle.written.map(_.path) ++ handle.origin).toSet))
      kept.fold(forget())(_.whenFreed(forget))
    }
  }

  private def room(name: String): Unit = synchronized {
    if (byName.size >= Handles.most && !byName.contains(name))
      throw HandleException.failed(s"this context has ${Handles.most} handles already, the most that it may have: unshare some")
  }

  /** Makes sure that SQL, to which large and small letters are the same, would not take one handle for another.
    *
    * @throws HandleException `failed` where there is one whose name differs by these alone
    */
  def checkFree(name: String): Unit = synchronized {
    if (!byName.contains(name)) byName.keysIterator.find(_.equalsIgnoreCase(name)).foreach { other =>
      throw HandleException.failed(
        s"there is a handle $other, and SQL would know $name by the same name, global_temp.${name.toLowerCase}: take another name, or unshare $other first")
    }
  }

  /** A view that cannot be made is no reason to refuse the handle. */
  private def shown(handle: Handle): Unit = shows.foreach { root =>
    try Views.show(root, handle)
    catch { case NonFatal(failure) => Log.warn(s"no view for handle ${handle.name}: ${failure.getMessage}") }
  }
}

object Handles {

  /** Handles of one context. */
  val most = 1000

  private[handle] val never: () => Boolean = () => false

  /** Names that are remembered after their end. */
  private val mostRemoved = 10 * most

  /** Who is told of changes. None of it may block. */
  trait News {

    /** A name was given to data, be it for the first time or in the place of others. */
    def shared(handle: Handle): Unit

    /** A new version in the handle store. */
    def version(handle: Handle): Unit

    /** A new version by puts or deletes. */
    def put(handle: Handle, maker: Maker): Unit

    def gone(handle: Handle, maker: Maker, reason: String): Unit

    /** What was written of it is no more. */
    def lost(handle: Handle, reason: String): Unit

    /** Does something once the gateway has written down all that it has been told so far. */
    def settled(work: => Unit): Unit
  }

  @volatile private var started: Option[Handles] = None

  /** Those of this JVM's context. */
  def here: Handles = started.getOrElse(throw HandleException.failed("there are no handles in this driver"))

  private[agent] def start(handles: Handles): Unit = started = Some(handles)
}
