package hearth.agent.ui

import javax.servlet.{Filter, FilterChain, FilterConfig, ServletRequest, ServletResponse}
import javax.servlet.http.{HttpServletRequest, HttpServletResponse}

/** Lets nobody but the gateway see the Spark UI: a filter of every page, by `spark.ui.filters`. */
final class GatewayOnly extends Filter {
  override def init(config: FilterConfig): Unit = ()

  override def doFilter(request: ServletRequest, response: ServletResponse, chain: FilterChain): Unit =
    (request, response) match {
      case (asked: HttpServletRequest, _) if UiKey.opens(asked.getHeader(UiKey.header)) => chain.doFilter(request, response)
      case (_, answer: HttpServletResponse) => answer.sendError(HttpServletResponse.SC_FORBIDDEN)
      case _                                => throw new IllegalStateException("not HTTP")
    }

  override def destroy(): Unit = ()
}
