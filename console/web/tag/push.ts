import { hear } from './clock';
import { after, backoff, guard, on } from './safety';
import { session } from './storage';

/** Envelope is one message from the server. */
export interface Envelope {
  id?: string;
  cmd?: string;
  /** t is the server's time, Unix ms. */
  t?: number;
  retry_ms?: number;
  action?: Action;
}

/** Action is something to show to the user. */
export interface Action {
  id: string;
  campaign?: string;
  content?: string;
  slot?: string;
  /** expires_ms is server time, Unix ms, from which it must not appear any more; 0: never. */
  expires_ms?: number;
  payload?: { title?: string; body?: string; button?: string; link?: string };
}

/** Reply says what became of an action. */
export interface Reply {
  reply: string | undefined;
  status: 'seen' | 'clicked' | 'dismissed' | 'expired' | 'duplicate';
  action: string;
}

/** Push is the channel to this user, kept open as long as the page lives. */
export interface Push {
  /** open connects; called again, it connects anew, with what url says now. */
  open(): void;
  /** close ends the channel until open: an open socket keeps a page out of the back/forward cache. */
  close(): void;
  /** send says a reply at once, or after the next connect; of those waiting the last 50 are kept. */
  send(r: Reply): void;
}

const stored = 'replies';

export function push(url: () => string, heard: (e: Envelope) => void): Push {
  let socket: WebSocket | undefined;
  let wanted = false;
  let attempt = 0;
  let timer = 0;

  const open = () => {
    close();
    wanted = true;
    let s: WebSocket;
    try {
      s = socket = new WebSocket(url());
    } catch {
      return again(); // a policy of the page forbids it, perhaps only for now
    }
    let healthy = 0;
    s.onopen = guard(() => {
      healthy = after(1e4, () => (attempt = 0));
      const waiting = session.read<Reply[]>(stored, []);
      session.remove(stored);
      waiting.forEach(send);
    });
    s.onmessage = guard(({ data }: MessageEvent) => {
      if (s != socket) return;
      const e = JSON.parse(data) as Envelope;
      if (e.cmd == 'welcome') hear(e.t);
      else if (e.cmd == 'close') again(e.retry_ms);
      else heard(e);
    });
    s.onclose = guard(() => {
      clearTimeout(healthy);
      if (s == socket) again();
    });
  };

  const close = () => {
    const s = socket;
    wanted = false;
    socket = undefined;
    clearTimeout(timer);
    if (s) s.close();
  };

  const again = (ms?: number) => {
    close();
    wanted = true;
    timer = after(ms! >= 0 ? ms! : backoff(attempt++, 250), open);
  };

  const send = (r: Reply) => {
    if (socket && socket.readyState == 1) socket.send(JSON.stringify(r));
    else session.write(stored, [...session.read<Reply[]>(stored, []), r].slice(-50));
  };

  // A network that came back makes a waiting socket connect now; one that looks open may be dead.
  on(window, 'online', () => wanted && open());
  return { open, close, send };
}
