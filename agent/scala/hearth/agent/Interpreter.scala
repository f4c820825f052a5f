package hearth.agent

import org.apache.spark.SparkContext
import org.apache.spark.sql.SparkSession

/** What runs code of one kind in one session. */
trait Interpreter {

  /** `spark`, `pyspark` or `sql`. */
  def kind: String

  /** Runs one statement on the calling thread (the session's own) and returns when it is over.
    *
    * The caller has set the job group and the scheduler pool on this thread. What the code prints goes to
    * `statement.stdout` and `statement.stderr` as it comes, before this method returns. Exceptions of user code become
    * [[Outcome.Failed]]; what is thrown from here is a fault of the interpreter and is answered as one.
    */
  def run(statement: Running): Outcome

  /** Stops what `run` is doing now, called on another thread; the session lives on.
    *
    * `statement.cancelled` is already true and the session cancels the statement's Spark jobs itself, at once and whenever a
    * new one starts, so this has only to stop what is not a Spark job. It must not block and may be called more than once.
    */
  def cancel(statement: Running): Unit

  /** Does what makes the first statement quicker. Called when the session has nothing to do, once in the life of the JVM for each
    * kind, on the thread that runs statements.
    */
  def settle(): Unit = ()

  /** What could stand at `cursor` (in UTF-16 code units), best first. Never called while `run` is. */
  def complete(code: String, cursor: Int): Seq[String]

  /** Ends it and all it started; called once, from any thread, also while `run` is. */
  def close(): Unit
}

/** How the interpreters of one kind come to be: a slow part that needs neither Spark nor a session, and is done beside Spark's
  * own start or ahead of need, then a quick part that binds the result to a session.
  */
trait Language {
  def kind: String

  /** Starts a compiler, a process …; blocks, on a thread of its own. The SparkContext may not exist yet. */
  def prepare(settings: Settings): Prepared
}

/** An interpreter without a session yet. */
trait Prepared {

  /** Does what can be done once the SparkContext is there and a session is not; for interpreters kept as spares. */
  def join(context: SparkContext): Unit = ()

  /** Binds it to a session and returns when it can run code. Called once, with or without `join` before. */
  def open(workspace: Workspace): Interpreter

  /** Gives it up without ever having been opened. */
  def close(): Unit
}

/** What an interpreter is told of its session. */
trait Workspace {

  /** The session's uuid, as text. */
  def session: String

  /** Small, unique in the context, never used again. */
  def number: Int

  /** The number by which Livy's clients know the session, if they do. */
  def livyId: Option[Int]

  /** The session's own SparkSession, with its SQL configuration applied. */
  def spark: SparkSession

  def settings: Settings
}
