export default async function handler(request, response) {
  await response.revalidate('/props');
  response.end('done');
}
