package hearth.agent.repl

/** The preludes of a context's first Scala sessions: to compile one takes as long as all else that makes a Scala session. None is used twice:
  * a thread that a session left behind must not find the SparkSession of another.
  */
object Preludes {

  /** How many there are. */
  val count = 96

  object p1 extends Prelude(1); object p2 extends Prelude(2); object p3 extends Prelude(3); object p4 extends Prelude(4); object p5 extends Prelude(5); object p6 extends Prelude(6)
  object p7 extends Prelude(7); object p8 extends Prelude(8); object p9 extends Prelude(9); object p10 extends Prelude(10); object p11 extends Prelude(11); object p12 extends Prelude(12)
  object p13 extends Prelude(13); object p14 extends Prelude(14); object p15 extends Prelude(15); object p16 extends Prelude(16); object p17 extends Prelude(17); object p18 extends Prelude(18)
  object p19 extends Prelude(19); object p20 extends Prelude(20); object p21 extends Prelude(21); object p22 extends Prelude(22); object p23 extends Prelude(23); object p24 extends Prelude(24)
  object p25 extends Prelude(25); object p26 extends Prelude(26); object p27 extends Prelude(27); object p28 extends Prelude(28); object p29 extends Prelude(29); object p30 extends Prelude(30)
  object p31 extends Prelude(31); object p32 extends Prelude(32); object p33 extends Prelude(33); object p34 extends Prelude(34); object p35 extends Prelude(35); object p36 extends Prelude(36)
  object p37 extends Prelude(37); object p38 extends Prelude(38); object p39 extends Prelude(39); object p40 extends Prelude(40); object p41 extends Prelude(41); object p42 extends Prelude(42)
  object p43 extends Prelude(43); object p44 extends Prelude(44); object p45 extends Prelude(45); object p46 extends Prelude(46); object p47 extends Prelude(47); object p48 extends Prelude(48)
  object p49 extends Prelude(49); object p50 extends Prelude(50); object p51 extends Prelude(51); object p52 extends Prelude(52); object p53 extends Prelude(53); object p54 extends Prelude(54)
  object p55 extends Prelude(55); object p56 extends Prelude(56); object p57 extends Prelude(57); object p58 extends Prelude(58); object p59 extends Prelude(59); object p60 extends Prelude(60)
  object p61 extends Prelude(61); object p62 extends Prelude(62); object p63 extends Prelude(63); object p64 extends Prelude(64); object p65 extends Prelude(65); object p66 extends Prelude(66)
  object p67 extends Prelude(67); object p68 extends Prelude(68); object p69 extends Prelude(69); object p70 extends Prelude(70); object p71 extends Prelude(71); object p72 extends Prelude(72)
  object p73 extends Prelude(73); object p74 extends Prelude(74); object p75 extends Prelude(75); object p76 extends Prelude(76); object p77 extends Prelude(77); object p78 extends Prelude(78)
  object p79 extends Prelude(79); object p80 extends Prelude(80); object p81 extends Prelude(81); object p82 extends Prelude(82); object p83 extends Prelude(83); object p84 extends Prelude(84)
  object p85 extends Prelude(85); object p86 extends Prelude(86); object p87 extends Prelude(87); object p88 extends Prelude(88); object p89 extends Prelude(89); object p90 extends Prelude(90)
  object p91 extends Prelude(91); object p92 extends Prelude(92); object p93 extends Prelude(93); object p94 extends Prelude(94); object p95 extends Prelude(95); object p96 extends Prelude(96)
}
