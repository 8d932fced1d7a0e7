/**
 * The shapes that the items and the harness share.
 *
 * @typedef {number | { [figure: string]: number | undefined | unknown, detail?: unknown }} Measured -
 *   One figure, or several by name; `detail` is kept with the results and has no figure of its own
 *
 * @typedef {object} Contender
 * @property {string} name - What is measured; `loquet` is what the others are compared with
 * @property {string} package - The npm package that does the work
 * @property {number} [mostRounds] - Where a round takes too long for more
 * @property {(place: { node: string }) => Promise<() => Promise<Measured>>} open - Loads the package and
 *   makes a function that takes one measurement, in the unit of the group. `node` is the path of the
 *   Node.js to measure with, for what starts processes itself
 *
 * @typedef {object} Target
 * @property {string} [against] - The contender whose figure is compared with loquet's
 * @property {number} [atLeast] - How many times loquet's figure that one has to be
 * @property {number} [atMostShare] - The same the other way round: the share of that one's figure that
 *   loquet's may be
 * @property {number} [atMost] - The highest figure that loquet may have, in the unit of the group
 *
 * @typedef {object} View - One table: a figure of all contenders
 * @property {string} name
 * @property {string} title
 * @property {string} unit
 * @property {string} [of] - Which of several figures of a measurement
 * @property {boolean} [plot] - Whether it has a place in the plot
 * @property {{ unit: string, each: number }} [rate] - To be told as so many a second too: `each` is a
 *   second in the unit
 * @property {string} [lacking] - Why a figure may not be there
 * @property {Target[]} targets
 *
 * @typedef {object} GroupBase
 * @property {string} name - For `--only`: `item` or `item/case`
 * @property {number} [warmUps] - Unmeasured turns before each measurement; 1 if not given
 * @property {boolean} [startsProcesses] - A measurement starts the processes that it needs itself
 * @property {number} [mostRounds] - Where more rounds than this would only take longer
 * @property {number} [slices] - Of a round: the processes of all contenders are there at the same time
 *   and measure a slice each in turn. For what depends on how busy the machine is. A figure is the
 *   median of the slices
 * @property {{ title: string, of: number[] }} [sizes] - The views are columns of one table with a row
 *   for each size, `name/size/column`
 * @property {Contender[]} contenders
 *
 * @typedef {GroupBase & (View | { views: View[] })} Group - Of one view or of several
 *
 * @typedef {object} Figure
 * @property {string} name
 * @property {string} package
 * @property {number[]} values - One per round, in the unit of the group
 * @property {number} median
 * @property {number} [target] - How many times loquet's figure this one has to be
 * @property {{ median: number, low: number, high: number }} [ratio] - This figure over loquet's,
 *   round by round: the median, the lowest and the highest
 * @property {unknown[]} [details] - What a measurement kept besides, one per round
 *
 * @typedef {object} Verdict
 * @property {string} text
 * @property {number} value
 * @property {boolean} met
 * @property {boolean} tolerated - Met only thanks to the tolerance
 *
 * @typedef {object} Result
 * @property {string} name
 * @property {string} title
 * @property {string} unit
 * @property {boolean} plot
 * @property {string} [node] - Where several Node.js are measured: `Node 24`
 * @property {{ unit: string, each: number }} [rate]
 * @property {string} [lacking] - Why there are no figures
 * @property {Figure[]} figures
 * @property {Verdict[]} verdicts
 *
 * @typedef {object} Measurement - What a group came to
 * @property {Result[]} results
 * @property {{ title: string, of: number[] }} [sizes]
 */
export {}
