import { events } from './events';
import { exposure } from './exposure';
import { hex, remember, user, type User } from './identity';
import type { Answer } from './outbox';
import { popups } from './popup';
import { push } from './push';
import { guard, on, visible, warn } from './safety';

type Call = [what: string, ...rest: unknown[]];
type Dwell = ((...call: Call) => Promise<unknown> | void) & { q?: ArrayLike<unknown>[]; on?: true };

/**
 * start makes window.dwell work:
 *   dwell('track', name, props)   dwell('identify', userId, traits)   dwell('page', props)
 *     each returns a promise of the server's answer, which never rejects; dwell('identify', traits)
 *     tells more about whoever it is;
 *   dwell('user')      a promise of {anonymousId, userId};
 *   dwell('token', t)  the signed push token of who logged in, when it was not in data-token;
 *   dwell('reset')     forgets who it is: the next call comes from somebody new.
 */
function start(script: HTMLScriptElement): void {
  const page = window as unknown as { dwell?: Dwell };
  if (page.dwell && page.dwell.on) return warn('is already on this page');
  const data = script.dataset;
  const key = data.key || '';
  const base = (data.base || new URL('.', script.src).href).replace(/\/$/, '');
  let who: User = user();
  let token = data.token;

  const sender = events(base, key);
  const q = encodeURIComponent;
  const channel = push(
    () => base.replace(/^http/, 'ws') + '/v1/push?key=' + q(key) + (token ? '&token=' + q(token) : '&anonymous_id=' + q(who.anonymousId)),
    popups(data.shadow == 'open' ? 'open' : 'closed', (r) => channel.send(r)),
  );
  const seen = exposure(base, key, () => who);

  const become = (next: User) => {
    const same = next.userId == who.userId && next.anonymousId == who.anonymousId;
    who = remember(next);
    if (!same) seen.renew();
  };
  const calls: Record<string, (a: unknown, b?: unknown) => Promise<unknown> | void> = {
    track: (event, properties) => sender.send('track', who, { event, properties }),
    page: (properties) => sender.send('page', who, { properties }),
    identify(id, traits) {
      const named = id && typeof id != 'object';
      if (named) become({ anonymousId: who.anonymousId, userId: String(id) });
      return sender.send('identify', who, { traits: named ? traits : traits || id });
    },
    user: () => Promise.resolve({ ...who }),
    token(t) {
      token = t as string;
      channel.open();
    },
    reset() {
      token = '';
      become({ anonymousId: hex(16) });
      channel.open();
    },
  };
  const refused: Answer = { success: false, status: 0 };
  const dwell: Dwell = (what, ...rest) => {
    const call = Object.prototype.hasOwnProperty.call(calls, what) && calls[what];
    if (call) return guard(call)(rest[0], rest[1]);
    warn('does not know', what);
    return Promise.resolve(refused);
  };
  const early = (page.dwell && page.dwell.q) || [];
  dwell.on = true;
  page.dwell = dwell;
  for (const call of early) dwell(...(Array.from(call) as Call));

  on(document, 'visibilitychange', () => visible() || sender.hide());
  on(window, 'pagehide', () => {
    sender.hide();
    channel.close();
  });
  on(window, 'pageshow', (e) => (e as PageTransitionEvent).persisted && channel.open());
  channel.open();
}

guard(() => start((document.currentScript || document.querySelector('script[data-key]')) as HTMLScriptElement))();
