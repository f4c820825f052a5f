package scala.tools.nsc.interpreter.lines

import scala.tools.nsc.Global

import hearth.agent.Column

/** Columns of collections and RDDs, read off their static types. */
final class TypeShape[G <: Global](val global: G) {
  import global._

  /** The columns of a collection or an RDD of this type.
    *
    * @param keys the keys that the first elements have, if they are maps; asked for only then
    */
  def columns(collection: Type, keys: => Seq[String]): Option[Seq[Column]] = element(collection).flatMap { element =>
    mapValue(element) match {
      case Some(value) =>
        val known = keys
        if (known.isEmpty) None else Some(known.map(column(_, value)))
      case None => fields(element).orElse(Some(Seq(column("value", element))))
    }
  }

  private def element(collection: Type): Option[Type] =
    Seq("org.apache.spark.rdd.RDD", "scala.Array", "scala.collection.Iterable").flatMap(argument(collection, _, 0)).headOption

  private def mapValue(element: Type): Option[Type] = argument(element, "scala.collection.Map", 1)

  private def argument(of: Type, owner: String, at: Int): Option[Type] =
    of.baseTypeSeq.toList.find(base => base.typeSymbol.fullName == owner)
      .map(base => of.baseType(base.typeSymbol)).flatMap(_.typeArgs.lift(at)).map(_.dealias)

  /** The fields of a case class or tuple. */
  private def fields(product: Type): Option[Seq[Column]] =
    if (!product.typeSymbol.isCaseClass) None
    else Some(product.typeSymbol.caseFieldAccessors.map { accessor =>
      column(accessor.decodedName.trim, product.memberType(accessor).resultType.dealias)
    })

  private def column(name: String, kind: Type): Column = {
    val (typed, category) = describe(kind, 0)
    Column(name, typed, category)
  }

  /** The type as Spark SQL writes it, and its class. */
  private def describe(kind: Type, depth: Int): (String, String) = {
    val plain = kind.dealias
    def inner(of: Type): String = if (depth > 5) "…" else describe(of, depth + 1)._1
    TypeShape.simple.getOrElse(plain.typeSymbol.fullName, {
      def option = argument(plain, "scala.Option", 0)
      def map = argument(plain, "scala.collection.Map", 0)
      if (option.isDefined) describe(option.get, depth + 1)
      else if (plain.typeSymbol.fullName == "scala.Array" && plain.typeArgs.exists(_.typeSymbol.fullName == "scala.Byte")) ("binary", "binary")
      else if (map.isDefined) (s"map<${inner(map.get)},${mapValue(plain).fold("void")(inner)}>", "nested")
      else if (element(plain).isDefined) (s"array<${inner(element(plain).get)}>", "nested")
      else fields(plain) match {
        case Some(columns) => (columns.map(c => s"${c.name}:${c.typed}").mkString("struct<", ",", ">"), "nested")
        case None          => (plain.toString, "other")
      }
    })
  }
}

object TypeShape {
  private val simple: Map[String, (String, String)] = Map(
    "scala.Boolean" -> (("boolean", "boolean")), "java.lang.Boolean" -> (("boolean", "boolean")),
    "scala.Byte" -> (("tinyint", "number")), "java.lang.Byte" -> (("tinyint", "number")),
    "scala.Short" -> (("smallint", "number")), "java.lang.Short" -> (("smallint", "number")),
    "scala.Int" -> (("int", "number")), "java.lang.Integer" -> (("int", "number")),
    "scala.Long" -> (("bigint", "number")), "java.lang.Long" -> (("bigint", "number")),
    "scala.Float" -> (("float", "number")), "java.lang.Float" -> (("float", "number")),
    "scala.Double" -> (("double", "number")), "java.lang.Double" -> (("double", "number")),
    "scala.math.BigDecimal" -> (("decimal(38,18)", "number")), "java.math.BigDecimal" -> (("decimal(38,18)", "number")),
    "scala.math.BigInt" -> (("decimal(38,0)", "number")), "java.math.BigInteger" -> (("decimal(38,0)", "number")),
    "java.lang.String" -> (("string", "text")), "scala.Char" -> (("string", "text")),
    "java.sql.Date" -> (("date", "time")), "java.time.LocalDate" -> (("date", "time")),
    "java.sql.Timestamp" -> (("timestamp", "time")), "java.time.Instant" -> (("timestamp", "time")),
    "java.time.LocalDateTime" -> (("timestamp_ntz", "time")))
}
