"""The text on which a rewritten model has to match the original: some 1,000 tokens."""

TEXT = """\
A river begins as very little. High on a slope, where snow lies until the middle of summer, \
water gathers under the stones and comes out lower down as a spring. Nobody would call it a \
river there. A child can step over it, and in a dry September it may disappear for weeks. But \
the ground leans to one side, and whatever falls on that side, rain or hail or melting ice, has \
only one way to go. After ten kilometres there is a stream with a name, after fifty a bridge, \
after two hundred a town that would not exist without it.

Towns grew beside rivers for plain reasons. People need water to drink, mills need water that \
falls, and goods are easier to float than to carry. In 1820 a horse could pull about one tonne \
on a good road, and thirty tonnes on a canal. A merchant who sold wool, salt or timber did not \
have to be taught the difference. The railway changed this within a single lifetime: by 1890 \
most canals carried coal or nothing, and the houses at the water's edge were turned around, so \
that their front doors faced the street.

"Why do we keep the old lock?" asked Marta, who had been elected to the council in spring and \
still asked about everything. "No ship has passed it since before I was born."

"Because it holds back the water," said the engineer. "Without the gate, the level above drops \
by two metres and ten centimetres. The wells in the upper quarter would run dry, and the \
foundations of the church, which stand on oak piles, would meet air for the first time in six \
hundred years. Oak under water lasts for ever. Oak that is wet on Monday and dry on Friday is \
gone in twenty years."

She wrote that down. Then she asked what a new gate would cost, and how long it would last, and \
whether anybody had compared steel with wood. The engineer had. Steel was cheaper to buy, wood \
was cheaper to mend, and over eighty years the sums came out nearly the same. The real \
difference was who could do the work: there were three people left in the region who could build \
such a gate from timber, and two of them were older than seventy.

To measure how much water a river carries, one does not need to catch it. It is enough to know \
how wide and deep the bed is, and how fast the water moves. Suppose a stream is 4 metres wide \
and half a metre deep, and a floating stick travels 10 metres in 8 seconds. The surface then \
moves at 1.25 metres per second; the water below is slower, because it rubs against the bed, so \
we take 85 percent of that. The result is 4 x 0.5 x 1.25 x 0.85, which is a little more than two \
cubic metres each second, or about 180,000 cubic metres in a day. The same arithmetic can be \
written as a program:

    def flow(width, depth, speed, factor=0.85):
        \"\"\"Cubic metres per second.\"\"\"
        if min(width, depth, speed) < 0:
            raise ValueError("lengths and speeds cannot be negative")
        return width * depth * speed * factor

    for day, speed in enumerate([1.25, 1.31, 0.98], start=1):
        print(day, round(flow(4, 0.5, speed), 2))

There are four steps to follow if you want good numbers. First, choose a straight piece of the \
river where the banks are even. Second, measure the depth in at least five places, not only in \
the middle. Third, let the stick travel several times and leave out the fastest and the slowest. \
Fourth, write down the date, the hour and the weather, because a figure without them cannot be \
compared with anything later.

What lives in the water depends on more than the water. Trout want it cold, clear and full of \
air; carp are content with a warm pond in which one cannot see one's own hand. When the trees \
along a bank are cut, the sun reaches the bed, algae grow over the gravel, and the small insects \
that trout feed on leave. Nothing was poured into the river, no pipe was laid, and yet five \
summers later the fish are different ones. Planting alders brings the shade back, although it \
takes patience: the first useful shadow falls after about seven years.

Marta's proposal was passed in November with nine votes against four. The gate would be built of \
oak, the three carpenters would each take one apprentice, and the plans, the measurements and \
the list of mistakes would be kept in the library where anybody could read them. One of the four \
who had voted against it shook her hand afterwards. He still thought that steel was the better \
choice, he said, but he liked the part about the mistakes.
"""
