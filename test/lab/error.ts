/** What goes wrong in the lab itself: one sentence, and what the failing tool said. */
export class LabError extends Error {
  override readonly name = 'LabError'
}
