package testbench

// What stands below the tables of RESULTS.md.

const accuracyNotes = `
- Accuracy is measured through the daemon's own decoder, preprocessing and Engine, on photos that were used neither for training nor for
  calibration. The float network is the same weights, written as a float .tflite by sightd export's own writer.
- Imagenette's int8 network is the default model. BVLC's are two, each calibrated on half of ImageNet's 500 photos and judged on the other
  half. float16 has weights of 16 bits.
- The built-in kernels (cpu) and the GPU get fewer photos, the first ones of the same list: they are slow, the GPU here all software
  (SwiftShader). The GPU's networks are smaller, so their top-1 is to be compared with that of no other row. What this machine can't do has no row.
`

const peersNotes = `
- Folder of photos: testbench/peers/throughput.py runs the programs by turns with sightd, on the same pictures; it says how it counts.
`

// exportNotes stand below the table of RESULTS_PEERS.md.
const exportNotes = `
- BVLC int8: files of several programs, each calibrated on half of the photos and judged on the other half (testbench/export_peers.sh).
`

const throughputNotes = `
- Photos of 500 px are ImageNet's 500, their long side brought to 500 pixels, JPEG of quality 90; the model is the embedded one.
- "sightd classify DIR": what 1000 pictures take longer than 500, so without the start. Processor time is user and system.
- The bound is what the cores could do, did they nothing but a picture's two stages. Threads of the test read, decode and prepare a picture and
  run Invoke by turns, and count their own processor time: one thread alone, and as many threads as cores at the same time. Each round
  measures both, the command and the daemon. The command reads and prints, as the programs above do. The daemon also hashes each photo, moves
  it, keeps a journal, and publishes, with a broker and a client on the same cores.
- Latency is from before the rename that moves a picture into the folder, or before a camera gives a picture's last byte to the system, until
  a client in another process has read the event (of 2000 at once, mosquitto_sub). Client and embedded broker share the machine.
- Photos dropped: moved, copied and written in two parts, by turns; a copied one must not have changed for 200 ms. One counts as arrived once a
  client in another process has its event, and as filed once it lies in done/.
`

const frameNotes = `
- "Invoke, alone" runs go-tflite and a loop of C (testbench/baseline) in alternating blocks of 20 on one input. "Invoke, in a step" runs
  each after the same preprocessing, as the daemon does: what the daemon publishes as infer_ms. Each round opens both models anew: where
  memory happens to lie moves either side by some percent.
- Frame of 640x480: Engine.Classify, which is all that is done with a frame but decisions and events, in alternating blocks of 20 with Invoke alone in C.
- Pictures of 12 megapixels are photos enlarged to 4000x3000 with noise in every pixel, JPEG of quality 90; 8 levels give files as cameras write
  them. Decoding in full is OpenCV's, of the same file, with the same preprocessing and network behind it; the two take turns, picture by
  picture. What can't be saved is reading the file's Huffman codes, which takes the longer the more noise is in them.
`

const growthNotes = `
- Photos in the folder at the start: from the start of the process, its weight cache there, to the events at a client of mosquitto's. Processor time
  and peak are the daemon's.
- Live sources replay 20 photos; each picture that finds the network free is judged (motion: off), the others are dropped.
- Classes: Invoke is another network's, the rest what is done with so many scores.
- Backlog: events of live sources are written into the outbox as the daemon does, with max_mb 256; a daemon starts with it, without a broker,
  some times; then the broker starts. A client that had subscribed before counts them.
`

const processNotes = `
- Hostile files: the peak of the resident memory while the file is decoded, less that of an idle process.
`
