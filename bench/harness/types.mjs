/**
 * The shapes that the items and the harness share.
 *
 * @typedef {object} Contender
 * @property {string} name - What is measured; `loquet` is what the others are compared with
 * @property {string} package - The npm package that does the work
 * @property {() => Promise<() => Promise<number>>} open - Loads the package and makes a function
 *   that takes one measurement, in the unit of the group
 *
 * @typedef {object} Target
 * @property {string} [against] - The contender whose figure has to be `atLeast` times loquet's
 * @property {number} [atLeast]
 * @property {number} [atMost] - The highest figure that loquet may have, in the unit of the group
 *
 * @typedef {object} Group
 * @property {string} name - For `--only`: `item` or `item/case`
 * @property {string} title
 * @property {string} unit
 * @property {number} [warmUps] - Unmeasured turns before each measurement; 1 if not given
 * @property {boolean} [startsProcesses] - A measurement starts the processes that it needs itself
 * @property {number} [mostRounds] - Where more rounds than this would only take longer
 * @property {boolean} [plot] - Whether the group has a place in the plot
 * @property {Contender[]} contenders
 * @property {Target[]} targets
 *
 * @typedef {object} Figure
 * @property {string} name
 * @property {string} package
 * @property {number[]} values - One per round, in the unit of the group
 * @property {number} median
 * @property {number} [target] - How many times loquet's figure this one has to be
 * @property {{ median: number, low: number, high: number }} [ratio] - This figure over loquet's,
 *   round by round: the median, the lowest and the highest
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
 * @property {Figure[]} figures
 * @property {Verdict[]} verdicts
 */
export {}
