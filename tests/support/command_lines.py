# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines with and without secrets, as people write them for a shell. A * stands for a secret.

What is shown of a line has ******** there. Each * of a line becomes another text, so that a test can look for it.
"""

from __future__ import annotations

import re
import shlex

MASK = "********"
SECRET = "Zq7vR9tLw3XkP5mB"  # and a number of two digits: fits whatever a token is made of

WITH_SECRETS = r"""
mysql -u root -p* shop
mysqldump --single-transaction -uroot -p* shop
mysqladmin -hdb --password=* status
mariadb-dump -Bp* shop
sudo -u app mysql -p* -e 'select 1'
docker exec db mysql -uroot -p* shop
mysql -e "ALTER USER app IDENTIFIED BY '*'"
curl -u deploy:* https://api.example/x
curl -fsSu deploy:* https://api.example/x
curl --user deploy:* --proxy-user proxy:* https://api.example/x
curl -H 'Authorization: Bearer *' https://api.example/x
curl -H 'Authorization: Basic *' https://api.example/x
curl --header 'Authorization: token *' https://api.example/x
curl -H 'X-Api-Key: *' https://api.example/x
curl -H 'PRIVATE-TOKEN: *' https://gitlab.example/api/v4/projects
curl -H 'Cookie: session=*; theme=dark' https://api.example/
curl -b session=* https://api.example/
curl --data 'user=deploy&password=*&remember=1' https://api.example/login
curl -d '{"user": "deploy", "password": "* and more", "n": 1}' https://api.example/login
curl -F client_secret=* https://api.example/oauth
curl --oauth2-bearer * https://api.example/x
wget --http-user=deploy --http-password=* https://api.example/x
wget --user deploy --password * https://api.example/x
wget --header='X-Auth-Token: *' https://api.example/x
http -a deploy:* POST https://api.example/login
http POST https://api.example/login user=deploy password=* token:=*
http https://api.example/x Authorization:'Bearer *' X-Api-Key:*
sshpass -p * ssh deploy@db uptime
sshpass -p* ssh deploy@db uptime
redis-cli -h cache -a * ping
redis-cli --pass * ping
redis-cli -u redis://default:*@cache:6379/0 ping
psql postgresql://app:*@db.example:5432/shop
psql 'host=db user=app password=* dbname=shop'
docker login -u deploy -p * registry.example
docker login --username deploy --password=* registry.example
az acr login -n registry -u deploy -p *
skopeo copy --src-creds deploy:* docker://a.example/x dir:/tmp/x
docker run -e POSTGRES_PASSWORD=* -p 5432:5432 postgres:16
docker run --env=API_KEY=* --rm tool
docker build --build-arg NPM_TOKEN=* .
helm upgrade shop ./chart --set auth.password=*
kubectl create secret generic db --from-literal=password=*
kubectl --token=* get pods
kubeadm join 192.0.2.7:6443 --token * --discovery-token-ca-cert-hash sha256:0a1b
ldapsearch -x -D cn=admin -w * -b dc=example
ldapsearch -xw * -b dc=example
ansible-playbook site.yml -e ansible_become_pass=*
ansible-playbook site.yml --extra-vars '{"db_password": "*"}'
ansible-vault encrypt_string * --name db_password
openssl pkcs12 -in cert.p12 -passin pass:* -nodes
openssl enc -aes-256-cbc -k * -in a -out b
keytool -list -keystore ks.jks -storepass *
java -Djavax.net.ssl.trustStorePassword=* -jar app.jar
gpg --batch --passphrase * -d secret.gpg
vault login *
vault kv put kv/db password=*
vault write auth/approle/login role_id=web secret_id=*
aws configure set aws_secret_access_key *
env AWS_SECRET_ACCESS_KEY=* AWS_SESSION_TOKEN=* aws s3 ls
env PGPASSWORD=* psql -h db shop
env MYSQL_PWD=* mysql shop
env 'DB_PASSWORD=* with spaces' ./deploy.sh
env REDISCLI_AUTH=* redis-cli ping
sh -c 'PGPASSWORD=* psql -h db shop'
bash -lc 'export GITHUB_TOKEN=*; ./deploy.sh --fast'
sh -c "mysql -u root -p'*' shop < dump.sql && echo done"
sh -c 'curl -s -H "Authorization: Bearer *" https://api.example/x | jq .'
sh -c 'cd /srv && ./tool --api-key * --region eu'
su - app -c 'mysql -p* shop'
ssh deploy@db 'mysqldump -uroot -p* shop'
sh -c 'echo root:* | chpasswd'
sh -c 'echo * | docker login -u deploy --password-stdin registry.example'
/bin/sh -c 'sudo -H -S -n -u root /bin/sh -c '"'"'echo BECOME-SUCCESS-abc ; DB_PASSWORD=* /usr/bin/python3 /root/t/AnsiballZ_command.py'"'"' && sleep 0'
python3 -c 'import tool; tool.login(user="deploy", password="*")'
mount -t cifs //nas/share /mnt -o username=deploy,password=*
smbclient //nas/share -U deploy%*
7z x -p* backup.7z
zip -P * backup.zip file
unzip -P * backup.zip
mongodump -u root -p * --db shop
sqlcmd -S db -U sa -P * -Q 'select 1'
git clone https://deploy:*@git.example/a/b.git
git clone https://x-access-token:ghp_*@github.com/a/b.git
git -c http.extraHeader='Authorization: Basic *' fetch
pip install --index-url https://__token__:*@pypi.example/simple tool
npm config set //registry.example/:_authToken=*
npm publish --//registry.example/:_authToken=npm_*0123456789abcdefghij
npm publish --//registry.example/:_authToken *
ssh-keygen -q -t ed25519 -N * -f key
mosquitto_pub -h mq -u app -P * -t x -m y
twine upload -u __token__ -p pypi-AgEI* dist/x
curl 'https://api.example/x?token=*&page=2'
curl 'https://api.example/x?page=2&access_token=*'
curl https://api.example/x?api_key=*
curl 'https://b.blob.example/c?sv=2024-01-01&sig=*&sp=r'
curl 'https://s3.example/k?X-Amz-Expires=60&X-Amz-Signature=*'
curl 'https://api.example/cb#access_token=*'
tool --connection 'Server=db;User Id=sa;Password=*;'
tool --storage 'AccountName=a;AccountKey=*=='
tool --dsn 'app:*@tcp(db.example:3306)/shop'
tool --db-password * --verbose
tool --client-secret=* --client-id=web
tool --token ghp_*
tool github_pat_11ABC_*
tool glpat-*
tool xoxb-1234567890-*
tool sk_live_*
tool eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.*
tool hvs.*abcdefgh
tool AIza*0123456789abcdefghij
notify https://hooks.slack.com/services/T00000000/B00000000/*
tool LONG --token *
chef-client --key '-----BEGIN RSA PRIVATE KEY----- * -----END RSA PRIVATE KEY-----'
""".replace("LONG", "long-" * 46)  # the kernel's cut goes through its secret

ORDINARY = r"""
git push -p
git commit -m "don't reset the password of bob, rotate the token: it is old"
git clone git@github.com:a/b.git
git checkout 3b18e512dba79e4c8300dd08aeb37f8e728b8dad
git clone https://deploy@git.example/a/b.git
mkdir -p /srv/secret/token
cp -p /etc/passwd /tmp/passwd
tar -u -f x.tar .
ps -u root
ps -u mysql -p 123
ssh -p 22 deploy@db.example
ssh -o PasswordAuthentication=no -o NumberOfPasswordPrompts=1 deploy@db
scp -P 2222 a deploy@db:/tmp/
rsync --password-file=/etc/x deploy@db::mod /srv
curl -fsSL https://github.com/a/b/releases/download/v1.2.3/tool-linux-amd64.tar.gz -o /usr/local/bin/tool
curl --cacert /etc/ssl/ca.pem -o out 'https://api.example/x?page=2&sort=name#top'
curl -x http://proxy.example:3128 https://api.example/
curl -b cookies.txt -c cookies.txt https://api.example/
tool --token-file /etc/token --api-key-file=/etc/key
tool --max-tokens 100 --token-ttl=60 --no-password --ask-pass run
kubectl get secret db-token -o yaml
vault token lookup
passwd root
passwd --stdin app
echo a:b | wc -c
sha256sum -c SHA256SUMS
echo e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 file
docker pull nginx:1.25@sha256:0d17b565c37bcbd895e9d92315a05c1c3c9a29f762b011a10c54a66cd53c9b31
docker run --rm -p 8080:80 -u 1000:1000 -v secret:/run/secret nginx
docker build --secret id=npm,src=.npmrc .
docker login --username deploy --password-stdin registry.example
mysql -p shop
mysql -u root -h db -P 3306 shop
mysqladmin -uroot ping
systemctl show mysql -pMainPID
redis-cli -h cache -p 6379 ping
psql -U app -p 5432 -h db -W shop
pg_dump --no-password shop
ldapsearch -x -b dc=example '(uid=bob)'
openssl req -new -key key.pem -out req.pem -passin file:/etc/pass
ffmpeg -i a -pass 1 -f null /dev/null
ansible-playbook site.yml --ask-vault-pass --vault-password-file ~/.vault --private-key ~/.ssh/id
apt-get install -y passwd libsecret-1-0 python3-jwt
find / -name '*.token' -newer /tmp/x -print
env PATH=/usr/bin:/bin PWD=/root GOOGLE_APPLICATION_CREDENTIALS=/etc/g.json SSH_ASKPASS=/usr/bin/x ./run
sh -c 'cd /srv; for f in *.sql; do psql -f "$f" || exit 1; done'
sh -c 'TOKEN=$(cat /etc/token) ./deploy.sh'
sudo -H -S -p '[sudo via ansible, key=abc] password:' -u root /bin/sh -c 'echo BECOME-SUCCESS-abc ; /usr/bin/python3'
python3 -c 'import os; print(os.environ.get("HOME"), {"a": 1}["a"])'
aws s3 cp s3://bucket/key . --region eu-west-1
aws secretsmanager get-secret-value --secret-id shop/db
az login --use-device-code
java -Xmx2g -Dfile.encoding=UTF-8 -jar app.jar --spring.config.location=/etc/app.yml
make PASS_THROUGH=yes BYPASS=1 COMPASS=n -j4
sed -i 's/a=b/c=d/' /etc/app.conf
tool 6ba7b810-9dad-11d1-80b4-00c04fd430c8 2001:db8::1 192.0.2.10:443 user:group
npm_config_registry=x npm install
tool --pass-through --two-factor --bypass
tool LONG
""".replace("LONG", "long words " * 30)


def with_secrets():
    """Of each line: its arguments, the secrets in them, and the arguments that are to be shown."""
    number = 10
    for line in WITH_SECRETS.strip().splitlines():
        secrets = []
        for _star in range(line.count("*")):
            secrets.append(SECRET + str(number))
            number += 1
        rest = iter(secrets)
        yield (shlex.split(re.sub(r"\*", lambda _star: next(rest), line)), secrets)


def ordinary():
    return [shlex.split(line) for line in ORDINARY.strip().splitlines()]
