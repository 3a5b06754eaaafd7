// kafkajs as a subject of the tests.
//   client.js BOOTSTRAP produce TOPIC CODEC COUNT | consume TOPIC GROUP COUNT | admin TOPIC
// See tests/clients/subject.rs for what each must do and print.
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const lz4 = require('lz4js')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
})
const zstd = new Promise((resolve) =>
  require('zstd-codec').ZstdCodec.run((codec) => resolve({ simple: new codec.Simple(), stream: new codec.Streaming() })))
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await zstd).simple.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from((await zstd).stream.decompress(buffer)),
})
const codecs = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

const [bootstrap, command, topic, third, fourth] = process.argv.slice(2)
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR })

async function produce(codec, count) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const messages = Array.from({ length: count }, (_, i) => ({
    key: `kafkajs-${codec}-${i}`,
    value: i % 10 === 9 ? null : 'x'.repeat(100) + i,
    headers: { client: 'kafkajs', n: ['1', '2'] },
  }))
  await producer.send({ topic, compression: codecs[codec], messages })
  await producer.disconnect()
}

async function consume(group, count) {
  const consumer = kafka.consumer({ groupId: group })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  let seen = 0
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, (event) => {
      if (!event.payload.restart) reject(event.payload.error)
    })
    consumer.run({
      eachMessage: async ({ message: { key, value, headers } }) => {
        const text = Object.entries(headers)
          .flatMap(([name, values]) => [values].flat().map((one) => `${name}=${one}`))
        console.log(`${key}\t${value === null ? 'NULL' : value}\t${text.join(',')}`)
        seen += 1
        if (seen >= count) resolve()
      },
    })
  })
  // Stopping commits what was processed.
  await consumer.disconnect()
}

async function admin() {
  const admin = kafka.admin()
  await admin.connect()
  const configEntries = [{ name: 'retention.ms', value: '3600000' }]
  await admin.createTopics({ topics: [{ topic, numPartitions: 2, configEntries }] })
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
  const metadata = await admin.fetchTopicMetadata({ topics: [topic] })
  check(metadata.topics[0].partitions.length === 3, JSON.stringify(metadata))
  const resources = [{ type: 2, name: topic, configNames: ['retention.ms'] }]
  const described = await admin.describeConfigs({ resources, includeSynonyms: false })
  check(described.resources[0].configEntries[0].configValue === '3600000', 'retention.ms')
  await produce('none', 30)
  const offsets = await admin.fetchTopicOffsets(topic)
  const total = offsets.reduce((sum, { offset }) => sum + Number(offset), 0)
  check(total === 30, JSON.stringify(offsets))
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '-1' }] })
  const after = (await admin.fetchTopicOffsets(topic)).find(({ partition }) => partition === 0)
  check(after.low === after.high, JSON.stringify(after))
  check((await admin.listTopics()).includes(topic), 'the topic is not listed')
  check((await admin.describeCluster()).brokers.length === 1, 'one broker')
  await admin.deleteTopics({ topics: [topic] })
  await admin.disconnect()
}

function check(holds, what) {
  if (!holds) throw new Error(what)
}

const work = {
  produce: () => produce(third, Number(fourth)),
  consume: () => consume(third, Number(fourth)),
  admin,
}
work[command]().then(
  () => { console.log('OK'); process.exit(0) },
  (error) => { console.error(error); process.exit(1) })
