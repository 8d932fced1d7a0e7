/**
 * The samples of a markdown file: its fenced blocks, word for word. What stands around them is for those who compile and
 * run them.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { root } from '../types/consumer.js'

export interface Sample {
  /** Of `title="config/lock.ts"` behind the language. */
  title?: string
  /** The first word behind the fence, in lower case; empty if there is none. */
  language: string
  code: string
  /** Where the fence opens; the first line is 1. */
  line: number
  /** All that stands behind the opening fence. */
  info: string
  /** The anchor of the heading above, empty if there is none. */
  section: string
}

/** An opening fence: up to three blanks (more within a list), three or more of ` or ~, and words that have no `. */
const OPENING = /^( *)(`{3,}|~{3,})[ \t]*(.*?)[ \t]*$/

/** A heading; trailing marks belong to it. */
const HEADING = /^ {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$/

/** What a heading is called in links to it, as GitHub makes it of the words. */
export function anchorOf(heading: string): string {
  return heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
    .replaceAll(' ', '-')
}

/** What stands in the fenced blocks of a markdown file, and what stands around them. */
export interface Page {
  samples: Sample[]
  /** The anchors of its headings, those that occur again with a number behind them. */
  anchors: string[]
  /** The lines that belong to no fenced block. */
  prose: { text: string; line: number }[]
}

/** The samples of a markdown file, in order. A path is relative to the root of the repository. */
export function samplesOf(path: string): Sample[] {
  return readPage(path).samples
}

export function readPage(path: string): Page {
  return parsePage(readFileSync(resolve(root, path), 'utf8'), path)
}

export function parsePage(text: string, path = 'markdown'): Page {
  const samples: Sample[] = []
  const anchors: string[] = []
  const prose: Page['prose'] = []
  const lines = text.split(/\r?\n/)
  for (let index = 0; index < lines.length; index++) {
    const [, indent, fence, info] = OPENING.exec(lines[index]) ?? []
    if (fence === undefined || (fence[0] === '`' && info.includes('`'))) {
      prose.push({ text: lines[index], line: index + 1 })
      const heading = HEADING.exec(lines[index])
      if (heading !== null) anchors.push(distinct(anchorOf(heading[1]), anchors))
      continue
    }

    const line = index + 1
    // As markdown has it: the closing fence is at least as long, of the same kind and has nothing behind it.
    const closing = new RegExp(`^ *${fence[0]}{${fence.length},}[ \\t]*$`)
    const code: string[] = []
    while (++index < lines.length && !closing.test(lines[index])) {
      const blanks = /^ */.exec(lines[index])![0].length
      code.push(lines[index].slice(Math.min(blanks, indent.length)))
    }
    if (index === lines.length) throw new Error(`${path}:${line}: the fence is never closed`)

    const title = /(?:^|\s)title="([^"]*)"/.exec(info)?.[1]
    samples.push({
      ...(title !== undefined && { title }),
      language: /^[^\s{]*/.exec(info)![0].toLowerCase(),
      code: code.map((each) => `${each}\n`).join(''),
      line,
      info,
      section: anchors.at(-1) ?? '',
    })
  }
  return { samples, anchors, prose }
}

/** Headings of the same words are numbered from the second one on. */
function distinct(anchor: string, taken: string[]): string {
  if (!taken.includes(anchor)) return anchor
  for (let number = 1; ; number++) {
    if (!taken.includes(`${anchor}-${number}`)) return `${anchor}-${number}`
  }
}
