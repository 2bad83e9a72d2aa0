/**
 * What the network says of a picture; `result_of` of demo/answer.py.
 *
 * @typedef {object} Result
 * @property {{percent: number, box: [number, number, number, number]}} crop what the network saw; box: left, top,
 *   right, bottom in pixels of the preview
 * @property {[number, number]} cells h and w of a contribution map
 * @property {string[]} classes in the order of the maps
 * @property {string} contributions base64 of float32 (classes, h, w), little-endian, in logits; their
 *   sum over the cells and `bias` are `logit`
 * @property {?string} mean_contributions the same, the mean of the validation images; null where it is not known
 * @property {Record<string, number>} bias
 * @property {Record<string, number>} logit
 * @property {Record<string, number>} probability
 * @property {Record<string, ?number>} threshold null where none was measured
 * @property {boolean} calibrated without calibration a probability is a score
 * @property {?string} thresholds_of whose they are, `publisher` or `validation`; null where there are none
 * @property {Record<string, {slope: number, bias: number}>} calibration of the logit
 * @property {Record<string, string>} trust finding to what was measured of heatmaps like this one
 * @property {Record<string, string>} notes an explanation of each label
 * @property {Record<string, string>} titles each label's name for people
 * @property {string[]} findings the labels that are findings, in the network's order
 * @property {?string} no_finding the label of a clear chest; null where the network has none
 * @property {string} first the most probable finding
 * @property {string[]} methods the exact one first
 * @property {string} more_methods why there are no others; empty where there are
 * @property {number} top logits that have the brightest colour
 */

/**
 * An answer about one picture; `answer_of` of demo/answer.py. The result is missing while the gate
 * objects and the visitor has not gone on.
 *
 * @typedef {object} Head
 * @property {string} id unguessable; tells an answer to this picture from one to another
 * @property {string} notice
 * @property {string} trained_on `phantoms`, `radiographs` or `both`
 * @property {string} facts what was read of the picture, in a line
 * @property {boolean} example whether it is one of our examples
 * @property {{fine: boolean, kind: string, message: string, open: boolean, correctable: boolean}} gate
 *   open: whether the result may be seen
 * @property {{width: number, height: number, bits: number, encoding: string, data: string}} preview
 *   for a canvas; see `preview` there
 * @typedef {Head & Partial<Result>} Answer
 */

/**
 * A step of a reading: `step(asked) -> Content`, in the source. A case has three layers, each sent
 * when it may be seen: its picture, the network's answer, the truth.
 *
 * `asked` is {action, reader, case, answer}:
 *   begin    a new reader; the answer holds his id, or is {stage: "wait", ready, of}
 *   resume   says again where the reader is, with the picture
 *   commit   the answer before the network's. In the round `with` the network's comes; in `before`
 *            and `after` the next case, and neither network nor truth
 *   settle   the answer after the network's, the same or another; the truth comes
 *   next     the next case, or the end
 *   another  a new session of other cases, at the end
 *   forget   in a study, whose steps name a pseudonym, too: delete its answers; {forgotten}
 * A step that is not open is answered by {problem}, and changes nothing.
 *
 * @typedef {[number, number, number, number]} Box left, top, right, bottom as shares of the picture
 * @typedef {Record<string, Box[]>} Boxes finding to boxes
 * @typedef {{findings: string[], nothing: boolean, sure: number, boxes: Boxes}} Reply what a reader
 *   says of a case; sure: 0 to 2
 * @typedef {{named: string[], sure: ?number, boxes: Boxes}} Named what the network says of it; sure
 *   is null where its values are scores
 * @typedef {{findings: {name: string, strength: string, boxes: Box[]}[], misses: string[],
 *   note: string, source: string}} Truth misses: of the network, of findings that are to be seen
 * @typedef {"before" | "with" | "after"} Round
 *
 * @typedef {object} Content
 * @property {"read" | "revise" | "truth"} stage
 * @property {Round} round
 * @property {string} case the id that steps name
 * @property {number} number of the case, from 1 on
 * @property {number} of cases in all rounds
 * @property {Head["preview"]} [preview] with a new case, and after resume
 * @property {Reply} [mine] from revise on
 * @property {Result & Named} [network] from revise on; in a study's arms from the start, or never
 * @property {boolean} [heat] with the network: whether its heatmaps may be shown
 * @property {Reply} [final] at truth
 * @property {Truth} [truth] at truth
 *
 * @typedef {object} Turn a case that was read; the figures are computed from these
 * @property {Round} round
 * @property {?number} pair the same for the two that match, one before and one after
 * @property {Truth} truth
 * @property {Named} network
 * @property {Reply} mine
 * @property {Reply} [final] in the round `with`
 *
 * @typedef {object} End the session is over
 * @property {"done"} stage
 * @property {Turn[]} turns in the order in which they were read
 * @property {number} looked_through pictures in which too few mistakes of the network were found; else 0
 * @property {boolean} more whether another session may follow
 */

export {};
