package scala.tools.nsc.interpreter.lines

import java.lang.reflect.InvocationTargetException

import scala.collection.mutable
import scala.reflect.NameTransformer
import scala.tools.nsc.Settings
import scala.tools.nsc.interpreter.{IMain, Results}

import hearth.agent.Column

/** One Scala REPL, as far as Hearth uses it: compiles a statement, runs it, knows the values it has defined.
  *
  * It stands in the compiler's own package because that is where half of what it needs is visible. Not safe for several threads.
  *
  * @param parent    where classes come from that the REPL has not made; never the registry, which asks this one
  * @param firstLine the number of the first line, so that no two sessions name a class alike
  */
final class Lines(settings: Settings, parent: ClassLoader, firstLine: Int) {
  private val heard = new Heard
  /** The line that is being compiled, and what it will show if that is known without a second compilation. */
  private var compiling: () => Option[Seq[Shown.Piece]] = () => None
  private var shown: Option[Seq[Shown.Piece]] = None
  val repl: IMain = Shim.repl(settings, parent, heard, () => {
    shown = compiling()
    shown.isDefined
  })
  import repl.global._

  /** Values by name, each with the line that defined it last. */
  private val defined = mutable.HashMap.empty[String, Line]

  while (repl.naming.freshLineId() < firstLine) ()

  def loader: ClassLoader = repl.classLoader

  /** What the compiler said since the last call. */
  def said(): Seq[Said] = heard.take()

  /** The statements of `code`, in order; None if it cannot be parsed or is not finished. */
  def statements(code: String): Option[Seq[Statement]] = Shim.parse(repl)(code) match {
    case Whole(trees) => Some(trees.map(describe))
    case _            => None
  }

  /** Compiles one statement, or several that belong together. */
  def compile(code: String): Either[Results.Result, Line] = {
    // As IMain.compile, in which a statement of a kind that is not allowed has no request.
    val compiled = repl.requestFromLine(code, synthetic = false) match {
      case Right(request) =>
        shown = None
        compiling = () => pieces(request)
        val isGood = try request != null && request.compile finally compiling = () => None
        if (isGood) Right(new Line(request, code, shown)) else Left(Results.Error)
      case Left(why) => Left(why)
    }
    // Else what was said here would silence the same at the next time.
    repl.reporter.reset()
    currentRun.reporting.clearAllConditionalWarnings()
    compiled
  }

  /** What a line shows whose own code is compiled, if that is simple. A line that defines a value class is wrapped in objects, which run when
    * what shows it asks for them; a value of such a class is not what its accessor answers.
    */
  private def pieces(request: repl.Request): Option[Seq[Shown.Piece]] = {
    def isUnboxed(name: Name) = exitingTyper(request.compilerTypeOf(name).finalResultType.dealiasWiden.typeSymbol.isDerivedValueClass)
    if (request.definesValueClass || request.termNames.exists(isUnboxed)) None
    else {
      val accessors = request.termNames.map(name => request.fullPath(name.encode.toString).replace("`", "") -> name.encode.toString)
      Shown.of(request.handlers.map(_.resultExtractionCode(request)).mkString, accessors.toMap)
    }
  }

  /** Compiles a source file beside the session's lines. */
  def define(source: String): Boolean = repl.compileString(source)

  /** The line that last defined a value of this name. */
  def defining(name: String): Option[Line] = defined.get(name)

  def complete(code: String, cursor: Int): Seq[String] = Shim.complete(repl, code, cursor)

  def close(): Unit = {
    defined.clear()
    repl.close()
  }

  /** What is known of a statement before it is compiled.
    *
    * @param start   a position on its first line of code
    * @param defines the name that it defines without running anything, if it does nothing else
    */
  final case class Statement(start: Int, defines: Option[String], isDefinition: Boolean, isObject: Boolean = false) {

    /** Whether this and the only one of its name in `group` are a class and its companion. */
    def companionOf(group: Seq[Statement]): Boolean = group.filter(_.defines == defines) match {
      case Seq(other) => other.isObject != isObject
      case _          => false
    }
  }

  private def describe(tree: Tree): Statement = {
    var start = Int.MaxValue
    tree.foreach(part => if (part.pos.isDefined) start = math.min(start, part.pos.start))
    tree match {
      case _: Import => Statement(start, None, isDefinition = true)
      case definition @ (_: ClassDef | _: ModuleDef | _: DefDef | _: TypeDef) =>
        val name = definition.asInstanceOf[DefTree].name.toString
        Statement(start, Some(name), isDefinition = true, isObject = definition.isInstanceOf[ModuleDef])
      case _ => Statement(start, None, isDefinition = false)
    }
  }

  /** A statement that has been compiled.
    *
    * @param shown what it shows, where the REPL has compiled nothing to show it
    */
  final class Line(request: repl.Request, code: String, shown: Option[Seq[Shown.Piece]]) {

    /** The number in the name of its class. */
    val number: Int = request.lineRep.lineId

    /** How many lines stand before the user's first one in what was compiled. */
    val linesBefore: Int = Shim.linesBefore(repl)(request, code)

    /** Runs it and returns what the REPL shows for it.
      *
      * @throws Throwable what the user's code threw
      */
    def run(): String =
      try shown match {
        case None => "" + request.lineRep.call("$print")
        case Some(pieces) =>
          val made = scope
          pieces.map {
            case Shown.Text(text)            => text
            case Shown.Value(accessor, most) => scala.runtime.ScalaRunTime.replStringOf(Lines.member(made, accessor), most)
          }.mkString
      } catch { case failed @ (_: InvocationTargetException | _: ExceptionInInitializerError) => throw Lines.unwrapped(failed) }

    /** What holds the values; whoever asks first runs the line. */
    private def scope: Any = {
      // $line3.$read.INSTANCE.$iw.$iw: package, object, then one member after the other.
      val path = request.fullPath("it").stripSuffix(".`it`").split('.').toList
      val root = Class.forName(path.take(2).mkString(".") + "$", true, loader).getField("MODULE$").get(null)
      path.drop(2).foldLeft(root: Any)(Lines.member)
    }

    /** Makes what it defines known to later lines. */
    def record(): Unit = {
      repl.recordRequest(request)
      request.termNames.foreach(name => defined(name.decodedName.toString) = this)
    }

    /** The values that it defines and that are computed already. */
    def names: Seq[String] = request.handlers.flatMap(_.member match {
      case value: ValDef if !value.mods.isLazy => Some(value.name.decodedName.toString.trim)
      case _                                   => None
    })

    /** The name of the value that it ends in; none for a definition, and none where asking would compute a lazy value. */
    def result: Option[String] = request.handlers.lastOption.filter(_.definesValue).flatMap { handler =>
      handler.member match {
        case value: ValDef if !value.mods.isLazy => Some(value.name.decodedName.toString.trim)
        case _                                   => None
      }
    }

    /** The columns of a collection or RDD that it defines, by its static type.
      *
      * @param keys the keys of the first elements, if they are maps
      */
    def columns(name: String, keys: => Seq[String]): Option[Seq[Column]] = repl.global.exitingTyper {
      val declared = request.compilerTypeOf(TermName(NameTransformer.encode(name)))
      new TypeShape[repl.global.type](repl.global).columns(declared.resultType.dealias.widen, keys)
    }

    /** A value it defines. */
    def value(name: String): Any = Lines.member(scope, NameTransformer.encode(name))
  }
}

object Lines {

  /** The exception of the user's code inside those that only say that a class could not be initialised or called. */
  def unwrapped(failure: Throwable): Throwable = failure match {
    case wrapper @ (_: InvocationTargetException | _: ExceptionInInitializerError | _: java.lang.reflect.UndeclaredThrowableException)
        if wrapper.getCause != null => unwrapped(wrapper.getCause)
    case other => other
  }

  private def member(owner: Any, name: String): Any = {
    val kind = owner.getClass
    kind.getMethods.find(method => method.getName == name && method.getParameterCount == 0) match {
      case Some(method) =>
        method.setAccessible(true)
        // What is called for a value of Unit answers nothing.
        try if (method.getReturnType == Void.TYPE) { method.invoke(owner); () } else method.invoke(owner)
        catch { case failed: InvocationTargetException => throw unwrapped(failed) }
      // An object inside an object has no accessor.
      case None => Class.forName(kind.getName.stripSuffix("$") + "$" + name + "$", true, kind.getClassLoader).getField("MODULE$").get(null)
    }
  }
}
