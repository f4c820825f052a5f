package hearth.agent.handle

import scala.collection.mutable
import scala.concurrent.duration.{Duration, DurationInt}
import scala.reflect.ClassTag

import hearth.agent.{Stage, Workspace}
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{DataFrame, Dataset}

/** What Scala code knows as `hearth`: the data of the context that have a name. */
final class Namespace(workspace: Workspace) {
  private[agent] val session = new SessionHandles(workspace, () => Option(Stage.performance).map(_.statement.number))

  /** Those that wait for the name of a variable, and what shares them under it. */
  private val nameless = mutable.ArrayBuffer.empty[(SharedRdd[_, _], String => Unit)]

  /** Gives a frame, an RDD or a small value a name by which every session of the context knows it, in every language.
    *
    * @param storage one of Spark's storage levels, by its name
    * @param force   computes it before it is shared
    * @param ttl     how long it lives
    * @param durable writes it to the handle store too, so that it is there after the end of the application
    */
  def share(
      data: Any,
      name: String,
      storage: String = Namespace.usual,
      force: Boolean = false,
      ttl: Duration = Duration.Inf,
      durable: Boolean = false): Unit = {
    val options = Namespace.options(storage, force, ttl, durable)
    data match {
      case frame: Dataset[_]     => session.shareFrame(name, options, frame)
      case rdd: RDD[_]           => session.shareRdd(name, options, rdd, isPython = false)
      case pairs: SharedRdd[_, _] => adopt(pairs, name)
      case value                 => session.shareValue(name, options, value)
    }
  }

  /** What has this name: a DataFrame, an RDD, a SharedRdd or the value. `context/name` is the DataFrame of another context's. */
  def shared(name: String): Any =
    if (name.contains("/")) df(name)
    else session.handle(name).kind match {
      case "dataframe" => df(name)
      case "rdd"       => rdd[Any](name)
      case "pairs"     => new SharedRdd[Any, Any](session, Some(name))
      case _           => value[Any](name)
    }

  /** As a frame; all kinds but values have columns. */
  def df(name: String): DataFrame = session.frame(name)

  /** The elements of an RDD. */
  def rdd[T](name: String): RDD[T] = session.handle(name).reading {
    case Version(_, content: RddContent) => content.kept.lend(content.elements.mapPartitions(identity, preservesPartitioning = true)).asInstanceOf[RDD[T]]
    case Version(_, other) => throw Handle.otherKind(name, other.kind)
  }

  def value[T](name: String): T = session.handle(name).reading {
    case Version(_, content: ValueContent) => content.value.asInstanceOf[T]
    case Version(_, other) => throw Handle.otherKind(name, other.kind)
  }

  def unshare(name: String): Unit = session.unshare(name)

  /** Name, kind and version of all there are. */
  def handles(): Seq[(String, String, Long)] = Handles.here.all.map(handle => (handle.name, handle.kind, handle.version))

  /** What has this name; if nothing has, `make` makes it, in one session of the context only, and all others wait for that.
    *
    * @param timeout how long to wait for another session that makes it; the others are those of `share`, for what is made
    * @throws Throwable what `make` threw, in every session that has waited for it
    */
  def getOrElseCreate[T](
      name: String,
      timeout: Duration = 10.minutes,
      storage: String = Namespace.usual,
      force: Boolean = false,
      ttl: Duration = Duration.Inf,
      durable: Boolean = false)(make: => T): T = {
    session.getOrElseCreate(name, Namespace.millis(timeout))(share(make, name, storage, force, ttl, durable))
    shared(name).asInstanceOf[T]
  }

  /** Shares pairs by key. */
  private[handle] def pairs[K: ClassTag, V](rdd: RDD[(K, V)], name: Option[String], options: Options): SharedRdd[K, V] = {
    val made = new SharedRdd[K, V](session, name)
    def put(name: String): Unit = session.sharePairs(name, options, rdd.asInstanceOf[RDD[(Any, Any)]])
    name match {
      case Some(given) => put(given)
      case None        => nameless.synchronized(nameless += ((made, put)))
    }
    made
  }

  /** Whether something waits for the name of a variable. */
  private[agent] def waits: Boolean = nameless.synchronized(nameless.nonEmpty)

  /** A variable of this name holds this. */
  private[agent] def held(name: String, value: Any): Unit = value match {
    case pairs: SharedRdd[_, _] => nameless.synchronized(nameless.indexWhere(_._1 eq pairs)) match {
        case -1 => ()
        case _  => adopt(pairs, name)
      }
    case _ => ()
  }

  private def adopt(pairs: SharedRdd[_, _], name: String): Unit = {
    val put = nameless.synchronized {
      val at = nameless.indexWhere(_._1 eq pairs)
      if (at < 0) throw HandleException.failed(s"$pairs is shared already: share its rdd() to give the same data another name")
      nameless.remove(at)._2
    }
    put(name)
    pairs.called(name)
  }
}

private[agent] object Namespace {
  val usual = "MEMORY_AND_DISK"

  def options(storage: String, force: Boolean, ttl: Duration, durable: Boolean): Options =
    Options(storage, force, if (ttl.isFinite) Some(ttl.toMillis) else None, durable)

  def millis(timeout: Duration): Long = if (timeout.isFinite) timeout.toMillis else Long.MaxValue / 1000000
}

/** What Scala code knows as `ShareableRdd`: makes a key-value handle of an RDD of pairs. */
final class ShareableRdds(namespace: Namespace) {

  /** @param name without one it is known by the variable that holds it; the others are those of `hearth.share` */
  def apply[K: ClassTag, V](
      rdd: RDD[(K, V)],
      name: String = null,
      storage: String = Namespace.usual,
      force: Boolean = false,
      ttl: Duration = Duration.Inf,
      durable: Boolean = false): SharedRdd[K, V] =
    namespace.pairs(rdd, Option(name), Namespace.options(storage, force, ttl, durable))
}

/** What Scala code knows as `SharedRdd`: finds a key-value handle of the context. */
final class SharedRdds(namespace: Namespace) {

  /** @param place the handle's name; or the address of the context, or of a session of it, with or without https://
    * @param name  the handle's name, where there is an address
    */
  def apply[K, V](place: String, name: String = null)(
      implicit keys: ClassTag[K] = ClassTag.Any.asInstanceOf[ClassTag[K]]): SharedRdd[K, V] = {
    if (name != null) Addresses.check(place, name)
    val known = Option(name).getOrElse(place)
    namespace.session.pairs(known)(_ => ())
    new SharedRdd[K, V](namespace.session, Some(known))(keys)
  }
}
