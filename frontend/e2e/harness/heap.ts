import type { Page } from '@playwright/test';

/** Tells whether a text stands anywhere in what the page's scripts can still reach: variables, stores, closures, answers. */
export async function inMemory(page: Page, text: string): Promise<boolean> {
  const devtools = await page.context().newCDPSession(page);
  try {
    await devtools.send('HeapProfiler.enable');
    await devtools.send('HeapProfiler.collectGarbage');
    const parts: string[] = [];
    devtools.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => parts.push(chunk));
    await devtools.send('HeapProfiler.takeHeapSnapshot', { reportProgress: false });
    return parts.join('').includes(text);
  } finally {
    await devtools.detach();
  }
}
