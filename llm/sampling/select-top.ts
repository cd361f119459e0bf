/**
 * The indices of the `count` largest values, largest first, of equal ones the lower index first. Values of -Infinity are
 * never among them, so fewer may come back. O(n log count): a heap of the best so far, its worst on top, so that almost
 * every value is turned away by one comparison.
 */
export function selectTop(values: Float32Array | Float64Array, count: number): number[] {
  const heap: number[] = [];
  const isWorse = (a: number, b: number) => values[a] < values[b] || (values[a] === values[b] && a > b);

  const siftDown = (index: number) => {
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isWorse(heap[child + 1], heap[child])) child += 1;
      if (!isWorse(heap[child], index)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = index;
  };
  const siftUp = (index: number) => {
    let at = heap.length;
    for (let parent = (at - 1) >> 1; at > 0 && isWorse(index, heap[parent]); parent = (at - 1) >> 1) {
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = index;
  };

  if (count <= 0) return [];
  for (let i = 0; i < values.length; i += 1) {
    if (!(values[i] > Number.NEGATIVE_INFINITY)) continue;
    if (heap.length < count) siftUp(i);
    // The later of equal values is the worse, so only a larger value gets in.
    else if (values[i] > values[heap[0]]) siftDown(i);
  }

  const sorted = new Array<number>(heap.length);
  for (let place = heap.length - 1; place >= 0; place -= 1) {
    sorted[place] = heap[0];
    const last = heap.pop();
    if (last !== undefined && heap.length > 0) siftDown(last);
  }
  return sorted;
}
