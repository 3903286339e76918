import { after, backoff, guard, on, warn } from './safety';

/** Answer is what the server said to a call; success is false when it was dropped, and status says why (0: never sent). */
export interface Answer {
  success: boolean;
  status: number;
  [field: string]: unknown;
}

/** Letter is one thing to deliver. */
export interface Letter {
  /** to names the endpoint, below /v1/. */
  to: string;
  /** json is the content, an object. */
  json: string;
  /** who is whom it is about; one request carries the letters of one user. */
  who?: string;
  /** beaconed: went out when the page was hidden, without an answer. */
  beaconed?: boolean;
  done?: (a: Answer) => void;
}

/** Mail says how letters travel. */
export interface Mail {
  base: string;
  /** limit bounds the letters kept; beyond it the oldest goes. */
  limit: number;
  /** pack returns the endpoint and the body for these letters, which are never none. */
  pack(letters: Letter[], beacon: boolean): { to: string; body: string };
  /** kept is told of every change of what is still to deliver. */
  kept?(letters: Letter[]): void;
  /** answered is told of every answer that settled letters. */
  answered?(a: Answer): void;
}

export interface Outbox {
  /** add sends at once, or, held, with the next letter or hide. */
  add(l: Letter, held?: boolean): void;
  /**
   * hide hands what is not on its way to the browser, which delivers it even when the page is gone.
   * A beacon has no answer, so the letters stay, and go once more when the page lives on.
   */
  hide(): void;
}

/** outbox delivers letters in order, one request at a time, and each until the server answers. */
export function outbox(mail: Mail): Outbox {
  const letters: Letter[] = [];
  let flying = 0; // the first so many are in a request
  let attempt = 0;
  let timer = 0;
  const url = (to: string) => mail.base + '/v1/' + to;
  const kept = () => mail.kept && mail.kept(letters);

  // A request takes letters of one user, and few enough characters that their bytes stay under the
  // 64 KiB which a browser lets a page send while it goes.
  const from = (start: number): Letter[] => {
    const first = letters[start];
    let size = 0;
    let end = start;
    for (let l = first; l && first && l.who === first.who && end - start < 50; l = letters[end]) {
      size += l.json.length;
      if (end > start && size > 2e4) break;
      end++;
    }
    return letters.slice(start, end);
  };

  const settle = (batch: Letter[], a: Answer) => {
    letters.splice(0, batch.length);
    kept();
    if (mail.answered) mail.answered(a);
    for (const l of batch) if (l.done) l.done(a);
  };

  const pump = () => {
    const batch = from(0);
    if (flying || timer || !batch.length) return;
    flying = batch.length;
    const { to, body } = mail.pack(batch, false);
    post(url(to), body).then(
      guard(({ a, wait }) => {
        flying = 0;
        if (!a.status || a.status == 429 || a.status >= 500) {
          timer = after(Math.max(backoff(attempt++, 500), wait), () => {
            timer = 0;
            pump();
          });
          return;
        }
        attempt = 0;
        if (!a.success) warn('refused', to, a);
        settle(batch, a);
        pump();
      }),
    );
  };

  on(window, 'online', () => {
    clearTimeout(timer);
    timer = 0;
    pump();
  });

  return {
    add(l, held) {
      letters.push(l);
      if (letters.length > mail.limit) {
        const [lost] = letters.splice(flying, 1);
        warn('too much to keep, dropped', lost);
        if (lost && lost.done) lost.done({ success: false, status: 0 });
      }
      kept();
      if (!held) pump();
    },
    hide() {
      let i = flying;
      for (let l = letters[i]; l; l = letters[i]) {
        const batch = l.beaconed ? [l] : from(i);
        if (!l.beaconed) {
          const { to, body } = mail.pack(batch, true);
          if (!navigator.sendBeacon(url(to), body)) return pump();
          for (const sent of batch) sent.beaconed = true;
        }
        i += batch.length;
      }
    },
  };
}

/** post never rejects: what did not arrive has status 0. wait is the server's Retry-After in ms, at most 5 min. */
async function post(url: string, body: string): Promise<{ a: Answer; wait: number }> {
  const limit = new AbortController();
  const timer = after(1e4, () => limit.abort());
  const a: Answer = { success: false, status: 0 };
  let wait = 0;
  try {
    const r = await fetch(url, {
      method: 'POST',
      // A string travels as text/plain, which needs no preflight.
      body,
      credentials: 'omit',
      keepalive: new Blob([body]).size < 6e4,
      signal: limit.signal,
    });
    wait = Math.min(+(r.headers.get('Retry-After') || 0) * 1e3 || 0, 3e5);
    const said: unknown = await r.json().catch(() => 0);
    Object.assign(a, { success: r.ok }, said, { status: r.status });
  } catch {
    // Offline, blocked or too slow: the same to us.
  }
  clearTimeout(timer);
  return { a, wait };
}
