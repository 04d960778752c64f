/** The nouns of SBF as they come over the wire, as far as the panels use them. */

export interface Notebook {
  id: string;
  name: string;
  description: string;
  role: 'owner' | 'editor' | 'viewer';
  /** Name of the user it belongs to, when that is somebody else. */
  owner: string;
  source_count: number;
  chunk_count: number;
  updated_at: string;
}

export interface Source {
  id: string;
  name: string;
  origin: string;
  media_type: string;
  status: 'pending' | 'processing' | 'ready' | 'failed';
  stage: string;
  reason: string;
  message: string;
  done: number;
  total: number;
  version: number;
  char_count: number;
  page_count: number | null;
}

export interface SourceText {
  source_id: string;
  version_id: string;
  version: number;
  name: string;
  text: string;
}

export interface Location {
  page: number | null;
  headings: string[];
  seconds: number | null;
  cell: number | null;
  sheet: string | null;
  row: number | null;
}

/** Words in a stored version of a source; `start` and `end` count characters, not UTF-16 units. */
export interface Span {
  source_id: string;
  source: string;
  version_id: string;
  version: number;
  start: number;
  end: number;
  location: Location;
  /** Spans inside the words that match a query. */
  highlights?: [number, number][];
}

export interface Hit extends Span {
  rank: number;
  text: string;
  highlights: [number, number][];
  dense_rank: number | null;
  lexical_rank: number | null;
}

export interface Hits {
  items: Hit[];
  query: string;
  searched_chunks: number;
  milliseconds: number;
  warnings: string[];
}

export interface Citation extends Span {
  marker: number;
  status: 'verified' | 'unverified';
  quote: string;
}

/** How much of a source a chat may use: nothing, what is found in it, or all of it as far as it fits. */
export type Level = 'off' | 'passages' | 'full';

/** How the window of a model was spent, in tokens, and what did not fit. */
export interface Budget {
  window: number;
  used: number;
  passages: number;
  cut: number;
  cut_sources: string[];
}

export interface Answer {
  id: string;
  question: string;
  answered: boolean;
  text: string;
  citations: { items: Citation[] } | Citation[];
  budget: Budget;
  usage: { cost_usd: number | null };
  provenance: { model: string };
}

export interface Chat {
  id: string;
  notebook_id: string;
  title: string;
  /** Of sources that are not named here it may use what is found in them. */
  levels: Record<string, Level>;
  message_count: number;
}

export interface Message {
  id: string;
  chat_id: string;
  role: 'user' | 'assistant';
  text: string;
  status: 'writing' | 'done' | 'stopped' | 'failed';
  answer: Answer | null;
  error: string;
}

export interface MessageDelta {
  message_id: string;
  start: number;
  text: string;
  citation: Citation | null;
}

export interface Job {
  id: string;
  kind: string;
  subject: string;
  status: 'queued' | 'running' | 'done' | 'failed' | 'dead' | 'cancelled';
  done: number;
  total: number;
  message: string;
}

export interface Page<Item> {
  items: Item[];
  total: number;
}

/** Return the place of a span for people: `p. 3 · Methods`, `12:05`, `Sheet1 row 7`. */
export function place(location: Location): string {
  const parts: string[] = [];
  if (location.page) {
    parts.push(`p. ${location.page}`);
  }
  if (location.seconds !== null && location.seconds !== undefined) {
    const seconds = Math.floor(location.seconds);
    const clock = [Math.floor(seconds / 60) % 60, seconds % 60].map(part => String(part).padStart(2, '0'));
    parts.push([Math.floor(seconds / 3600) || [], clock].flat().flat().join(':'));
  }
  if (location.cell) {
    parts.push(`cell ${location.cell}`);
  }
  if (location.sheet || location.row) {
    parts.push([location.sheet, location.row ? `row ${location.row}` : ''].filter(Boolean).join(' '));
  }
  return [...parts, ...(location.headings ?? []).slice(-1)].join(' · ');
}

/** Return the citations of an answer. */
export function citationsOf(answer: Answer | null): Citation[] {
  const found = answer?.citations ?? [];
  return Array.isArray(found) ? found : found.items;
}

/** Return the UTF-16 index of the `index`-th character of a text. */
export function utf16(text: string, index: number): number {
  let at = 0;
  for (let seen = 0; seen < index && at < text.length; seen++) {
    at += (text.codePointAt(at) as number) > 0xffff ? 2 : 1;
  }
  return at;
}
