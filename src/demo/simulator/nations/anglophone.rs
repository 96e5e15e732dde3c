//! Australia, Canada, Great Britain, Ireland, New Zealand, the United States, India.

use super::{Nation, Postcode, TITLES, list};

pub(super) fn nations() -> Vec<Nation> {
    vec![
        Nation {
            code: "AU",
            country: "Australia",
            titles: list(TITLES),
            men: list(
                "Jack|Oliver|William|Noah|Thomas|Lucas|Ethan|Riley|Cooper|Mason|Harrison|Angus|Lachlan|Bailey\
                |Declan|Hugh",
            ),
            women: list(
                "Charlotte|Olivia|Mia|Ava|Amelia|Matilda|Isla|Zoe|Ruby|Grace|Willow|Sienna|Evie|Georgia\
                |Tahlia|Indiana",
            ),
            last: list(
                "Smith|Jones|Williams|Brown|Wilson|Taylor|Nguyen|Johnson|Martin|White|Anderson|Walker\
                |Thompson|O'Connor|Kelly|Fraser|Burke|Hughes|McKenzie|Doyle",
            ),
            streets: list(
                "Wheeler Ridge Rd|Hickory Creek Dr|Miller Ave|Spring St|Ranchview Dr|Northaven Rd\
                |Pecan Acres Ln|Samaritan Dr|Groveland Terrace|Daisy Dr|Depaul Dr",
            ),
            cities: list(
                "Sydney|Melbourne|Brisbane|Perth|Adelaide|Hobart|Darwin|Port Lincoln |Bendigo|Coffs Harbour\
                |Tamworth|Kalgoorlie|Mackay",
            ),
            states: list(
                "New South Wales|Victoria|Queensland|Western Australia|South Australia|Tasmania\
                |Northern Territory",
            ),
            postcode: Postcode::Number(200, 9_999),
            phone: "0#-####-####",
            cell: "04##-###-###",
            id: Some(("TFN", "#########")),
        },
        Nation {
            code: "CA",
            country: "Canada",
            titles: list(TITLES),
            men: list(
                "Liam|Logan|Benjamin|Nathan|Samuel|Xavier|Olivier|Jacob|Félix|Thomas|Émile|Zachary|Owen|Hudson\
                |Simon|Gabriel",
            ),
            women: list(
                "Emma|Olivia|Léa|Florence|Chloé|Alice|Rosalie|Zoé|Charlotte|Maya|Sarah|Addison|Noémie|Clara\
                |Victoria|Ellie",
            ),
            last: list(
                "Tremblay|Roy|Gagnon|Côté|Bouchard|Gauthier|Morin|Lavoie|Fortin|Singh|Wong|MacDonald|Smith\
                |Martin|Wilson|Campbell|Lévesque|Ma|Chow|Ross",
            ),
            streets: list(
                "Maple Ave|Lakeshore Rd|Richmond Ave|Duke St|Oak St|Concession Road 6|20th Ave\
                |Dalhousie Ave|Stanley Way|Pine Rd|Vimy St|Rue Saint-Denis",
            ),
            cities: list(
                "Toronto|Ottawa|Montréal|Vancouver|Halifax|Winnipeg|Regina|St. John's|Fredericton|Cochrane\
                |Armstrong|Minto|Chelsea ",
            ),
            states: list(
                "Ontario|Québec|British Columbia|Alberta|Manitoba|Nova Scotia|Newfoundland and Labrador\
                |Yukon",
            ),
            postcode: Postcode::Text("@#@ #@#"),
            phone: "@## @##-####",
            cell: "@## @##-####",
            id: Some(("SIN", "#########")),
        },
        Nation {
            code: "GB",
            country: "United Kingdom",
            titles: list(TITLES),
            men: list(
                "George|Harry|Alfie|Oscar|Leo|Archie|Freddie|Theo|Arthur|Edward|Callum|Rhys|Ewan|Jasper|Byron\
                |Glen",
            ),
            women: list(
                "Poppy|Emily|Isabella|Freya|Daisy|Florence|Beatrice|Imogen|Rhiannon|Eilidh|Harriet|Lottie\
                |Wendy|Andrea|Ceri|Gwen",
            ),
            last: list(
                "Smith|Jones|Davies|Evans|Thomas|Roberts|Robinson|Wright|Hall|Green|Clarke|Morris|Ward\
                |O'Neill|Cook|Bailey|Murphy|Lloyd|Griffiths|MacLeod",
            ),
            streets: list(
                "High Street|Station Road|Church Road|Victoria Road|Green Lane|Mill Road|The Crescent\
                |Queens Road|North Road|York Road|King's Road|Manchester Road",
            ),
            cities: list(
                "London|Leeds|Bath|Cardiff|Glasgow|Inverness|Stoke-on-Trent|Bishop's Stortford|Wells|Derby\
                |Truro|Newry|Ely ",
            ),
            states: list("Kent|Cornwall|Tyne and Wear|Highlands and Islands|County Antrim|Dyfed|Merseyside|Rutland"),
            postcode: Postcode::Text("@@## #@@"),
            phone: "0#### ######",
            cell: "07### ######",
            id: Some(("NINO", "@@ ## ## ## @")),
        },
        Nation {
            code: "IE",
            country: "Ireland",
            titles: list(TITLES),
            men: list(
                "Conor|Sean|Cian|Oisín|Darragh|Eoin|Fionn|Tadhg|Ronan|Cillian|Patrick|Brendan|Declan|Senan\
                |Luke|Rory",
            ),
            women: list(
                "Aoife|Saoirse|Ciara|Niamh|Róisín|Caoimhe|Orla|Sinéad|Gráinne|Éabha|Maeve|Clodagh|Fiadh|Nora\
                |Bridget|Laoise",
            ),
            last: list(
                "Murphy|O'Brien|O'Sullivan|Walsh|Kelly|Ryan|Byrne|O'Connor|Doyle|McCarthy|Gallagher|Kennedy\
                |Lynch|Quinn|Moore|Nolan|Fitzgerald|Daly|Reid|Hayes",
            ),
            streets: list(
                "O'Connell Street|Main Street|Grafton Street|Patrick Street|Mill Lane|Church Lane\
                |Strand Road|New Street|Henry Street|Manor Road|Herbert Road",
            ),
            cities: list(
                "Dublin|Cork|Galway|Limerick|Waterford|Kilkenny|Sligo|Tralee|Dún Laoghaire\
                |Carrick-on-Shannon|Listowel|Birr |Youghal",
            ),
            states: list("Dublin City|Kerry|Mayo|Donegal|Laois|Offaly|Wicklow|Clare"),
            postcode: Postcode::Number(10_000, 99_999),
            phone: "0##-###-####",
            cell: "081-###-####",
            id: Some(("PPS", "#######@@")),
        },
        Nation {
            code: "IN",
            country: "India",
            titles: list(TITLES),
            men: list(
                "Aarav|Vihaan|Arjun|Rohan|Ishaan|Kabir|Aditya|Dev|Ravi|Sanjay|Nikhil|Manoj|Harsh|Yash|Anil\
                |Suresh",
            ),
            women: list(
                "Aadhya|Ananya|Diya|Ishita|Kavya|Meera|Nisha|Pooja|Riya|Saanvi|Tanvi|Lakshmi|Deepa|Gauri\
                |Asha|Veena",
            ),
            last: list(
                "Sharma|Patel|Gupta|Reddy|Iyer|Nair|Das|Banerjee|Khan|Rao|Singh|Kulkarni|Shetty|Chatterjee\
                |Mehta|Joshi|Kamath|Bhat|D'Souza|Pillai",
            ),
            streets: list(
                "MG Road|Gandhi Marg|Station Road|Nehru Place|Park Street|Linking Road|Brigade Rd\
                |Anna Salai|Church Street|Mall Road|Jail Road",
            ),
            cities: list(
                "Mumbai|Delhi|Bengaluru|Chennai|Kolkata|Hyderabad|Pune|Jaipur|Kochi|Indore|Ranchi|Siliguri\
                |Mysuru ",
            ),
            states: list("Maharashtra|Karnataka|Tamil Nadu|West Bengal|Kerala|Gujarat|Rajasthan|Punjab"),
            postcode: Postcode::Number(10_000, 99_999),
            phone: "##########",
            cell: "##########",
            id: Some(("UIDAI", "############")),
        },
        Nation {
            code: "NZ",
            country: "New Zealand",
            titles: list(TITLES),
            men: list("Jack|Oliver|Mason|Hunter|Tane|Wiremu|Nikau|Finn|Toby|Caleb|Blake|Jayden|Rawiri|Theo|Luca|Zane"),
            women: list("Isla|Aroha|Anahera|Mila|Ruby|Hana|Maia|Kaia|Harper|Paige|Lily|Ngaio|Eden|Summer|Kiri|Brooke"),
            last: list(
                "Smith|Wilson|Taylor|Ngata|Walker|Harris|Edwards|Singh|Chen|Wood|Parata|Turei|Patel|Clarke\
                |Thompson|Morris|King|Li|Hohepa|O'Rourke",
            ),
            streets: list(
                "Queen Street|Lambton Quay|Great South Road|Kilmore Street|Tory Street|Marine Parade\
                |Dominion Road|Cuba Street|Papanui Road|Tamaki Drive|State Highway 2",
            ),
            cities: list(
                "Auckland|Wellington|Christchurch|Dunedin|Whangārei|Tauranga|Hamilton|Nelson|Invercargill\
                |Taupo|Napier |Timaru",
            ),
            states: list("Northland|Waikato|Otago|Southland|Taranaki|Canterbury|West Coast"),
            postcode: Postcode::Number(10_000, 99_999),
            phone: "(###)-###-####",
            cell: "(###)-###-####",
            id: None,
        },
        Nation {
            code: "US",
            country: "United States",
            titles: list(TITLES),
            men: list(
                "James|Robert|John|Michael|David|Carlos|Tyrone|Brandon|Dylan|Wesley|Curtis|Leroy|Marcus|Ramon\
                |Eugene|Clayton",
            ),
            women: list(
                "Mary|Patricia|Jennifer|Linda|Susan|Jessica|Latoya|Brittany|Tamara|Yolanda|Kelly|Wanda|Peggy\
                |Marsha|Rosa|Kaylee",
            ),
            last: list(
                "Smith|Johnson|Williams|Garcia|Miller|Davis|Rodriguez|Martinez|Hernandez|Lopez|Moore|Lee\
                |Jackson|Washington|O'Reilly|Hoffman|Kim|Carter|Fox|Barnes",
            ),
            streets: list(
                "Main St|Elm St|Washington Ave|Sunset Blvd|Lincoln Way|W 42nd St|Railroad St|Bollinger Rd\
                |Prospect Rd|Valwood Pkwy|Rolling Green Rd|E Pecan St",
            ),
            cities: list(
                "New York|Los Angeles|Chicago|Houston|Coeur d'Alene|Tulsa|El Paso|Anchorage|Boise\
                |Santa Rosa|Rialto|Toledo|Winston-Salem|Erie ",
            ),
            states: list("California|Texas|New York|Ohio|Montana|Alaska|North Carolina|Hawaii"),
            postcode: Postcode::Number(10_000, 99_999),
            phone: "(###) ###-####",
            cell: "(###) ###-####",
            id: Some(("SSN", "###-##-####")),
        },
    ]
}
